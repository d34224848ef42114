"""Another computer, as the files that were read from it."""

from __future__ import annotations

import errno
import os
from pathlib import Path as RealPath
from pathlib import PurePosixPath

from ouchi.errors import BadInput, error
from ouchi.machine import Path

MOST_LINKS = 40  # as many as Linux follows
LARGEST = 4 * 1024 * 1024  # bytes; the largest file that facts read is the cpuinfo of a big host, about 2 MB


class SnapshotReader:
    """A folder that holds a host's files at their absolute paths, symbolic links among them.

    Links are followed as on that host: an absolute one starts at the snapshot's own root. A path or link that
    leads outside the folder raises :class:`BadInput`; so does a file larger than 4 MiB.
    """

    def __init__(self, folder: Path) -> None:
        self._root = RealPath(folder)
        if not self._root.is_dir():
            raise BadInput(
                error("there is no such snapshot", where=str(folder), expected="a folder with the files of a host")
            )

    def read(self, path: Path) -> str:
        real = self._resolve(path)
        if not real.is_file():  # also keeps pipes and devices from being opened
            raise FileNotFoundError(errno.ENOENT, "not in the snapshot", str(path))
        if real.stat().st_size > LARGEST:
            raise BadInput(
                error(
                    "a file of the snapshot is too large",
                    where=f"{self._root}: {path}",
                    found=f"{real.stat().st_size} bytes",
                    expected=f"at most {LARGEST} bytes",
                )
            )
        return real.read_text(encoding="utf-8", errors="replace")

    def exists(self, path: Path) -> bool:
        try:
            return self._resolve(path).exists()
        except OSError:
            return False

    def entries(self, path: Path) -> list[str]:
        try:
            return sorted(os.listdir(self._resolve(path)))
        except OSError:
            return []

    def link(self, path: Path) -> str:
        pure = PurePosixPath(path)
        try:
            return os.path.basename(os.readlink(self._resolve(pure.parent) / pure.name))
        except OSError:
            return ""

    def _resolve(self, path: Path) -> RealPath:
        """The real path after following links within the snapshot. Raises OSError on a loop of links."""
        pending = [part for part in reversed(PurePosixPath(path).parts) if part != "/"]
        walked: list[str] = []
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                if not walked:
                    raise self._outside(path)
                walked.pop()
                continue
            place = self._root.joinpath(*walked, part)
            if not place.is_symlink():
                walked.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, "too many links", str(path))
            target = PurePosixPath(os.readlink(place))
            if target.is_absolute():
                walked.clear()
            pending.extend(part for part in reversed(target.parts) if part != "/")
        return self._root.joinpath(*walked)

    def _outside(self, path: Path) -> BadInput:
        return BadInput(
            error(
                "a path in the snapshot leads outside it",
                where=f"{self._root}: {path}",
                expected="paths and links that stay inside the snapshot",
                remedy="take the snapshot again",
            )
        )
