"""A file, behind FUSE, that writes down everything that is written to it: the disk of a host whose power fails.

``python recording_disk.py FOLDER SIZE LOG`` mounts it at FOLDER, until it is unmounted. ``FOLDER/disk`` has SIZE bytes;
what is written to ``FOLDER/mark`` stands in the log in its order among the writes. A file system on ``disk`` can then be
looked at as any moment would have left it (:func:`images`).
"""

from __future__ import annotations

import errno
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO


def images(log: Path, size: int) -> Iterator[tuple[str, bytes]]:
    """Each moment of a log, with the disk of that moment: after every write, and at every mark.

    At a mark what was not flushed yet is lost, as a drive's own cache loses it: ``mark TEXT``, else ``write``.
    """
    disk, flushed = bytearray(size), bytes(size)
    with log.open("rb") as file:
        for line in file:
            entry = json.loads(line)
            match entry:
                case {"mark": text}:
                    yield f"mark {text}", flushed
                case {"at": offset, "length": length}:
                    disk[offset : offset + length] = file.read(length)
                    yield "write", bytes(disk)
                case {"flush": _}:
                    flushed = bytes(disk)


def serve(folder: str, size: int, log: BinaryIO) -> None:
    """Mount the files and answer until they are unmounted."""
    import mfusepy

    disk = bytearray(size)

    def note(entry: dict[str, Any], data: bytes = b"") -> None:
        log.write(json.dumps(entry).encode() + b"\n" + data)
        log.flush()

    class Files(mfusepy.Operations):  # type: ignore[misc]
        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            kinds = {"/": (stat.S_IFDIR | 0o700, 0), "/disk": (stat.S_IFREG | 0o600, size), "/mark": (stat.S_IFREG, 0)}
            if path not in kinds:
                raise mfusepy.FuseOSError(errno.ENOENT)
            mode, length = kinds[path]
            return {"st_mode": mode, "st_size": length, "st_nlink": 1}

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", "disk", "mark"]

        def read(self, path: str, length: int, offset: int, fh: int) -> bytes:
            return bytes(disk[offset : offset + length])

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            if path == "/mark":
                note({"mark": data.decode()})
            else:
                disk[offset : offset + len(data)] = data
                note({"at": offset, "length": len(data)}, data)
            return len(data)

        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            return 0

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            note({"flush": path})
            return 0

    mfusepy.FUSE(Files(), folder, foreground=True, nothreads=True, direct_io=False)


if __name__ == "__main__":
    with open(sys.argv[3], "wb") as found:
        serve(sys.argv[1], int(sys.argv[2]), found)
