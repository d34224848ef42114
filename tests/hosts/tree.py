"""A host's files in memory: what a snapshot is, without the disk."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path as RealPath
from pathlib import PurePosixPath
from typing import Final

from ouchi.machine import Path

MOST_LINKS: Final = 40  # as many as Linux follows
PROBES: Final = "/.ouchi"


class Tree:
    """Files and symbolic links by absolute path; it reads as :class:`ouchi.machine.Reader` does.

    Links are followed as on that host. What a probe answers is the file ``/.ouchi/<name>``, as in a snapshot.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.links: dict[str, str] = {}
        self._children: dict[str, set[str]] = {}

    def put(self, path: str, content: str | bytes) -> None:
        """Add a file; text ends with a line feed, as the kernel's does, unless it is empty."""
        if isinstance(content, str):
            content = (content if not content or content.endswith("\n") else f"{content}\n").encode()
        self.files[path] = content
        self._children.clear()

    def put_all(self, folder: str, contents: Mapping[str, str | int]) -> None:
        """Add several files of a folder."""
        for name, content in contents.items():
            self.put(f"{folder}/{name}", str(content))

    def point(self, path: str, target: str) -> None:
        """Add a link to an absolute path, written relative as sysfs writes it."""
        self.links[path] = os.path.relpath(target, os.path.dirname(path))
        self._children.clear()

    def read(self, path: Path) -> str:
        return self.read_bytes(path).decode("utf-8", errors="replace")

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        content = self.files.get(str(path))
        if content is None:
            content = self.files.get(self._resolve(str(path)))
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "not in the tree", str(path))
        return content if most < 0 else content[:most]

    def exists(self, path: Path) -> bool:
        try:
            real = self._resolve(str(path))
        except OSError:
            return False
        return real in self.files or real in self._folders()

    def entries(self, path: Path) -> list[str]:
        try:
            return sorted(self._folders().get(self._resolve(str(path)), ()))
        except OSError:
            return []

    def link(self, path: Path) -> str:
        pure = PurePosixPath(path)
        try:
            return os.path.basename(self.links.get(f"{self._resolve(str(pure.parent)).rstrip('/')}/{pure.name}", ""))
        except OSError:
            return ""

    def probe(self, name: str) -> str:
        return self.files.get(f"{PROBES}/{name}", b"").decode()

    def to_folder(self, folder: RealPath) -> None:
        """Write everything below a folder, as a snapshot that is a folder."""
        for path in {os.path.dirname(path) for path in (*self.files, *self.links)}:
            os.makedirs(f"{folder}{path}", exist_ok=True)
        for path, content in self.files.items():
            RealPath(f"{folder}{path}").write_bytes(content)
        for path, target in self.links.items():
            os.symlink(target, f"{folder}{path}")

    def to_tar(self, file: RealPath) -> None:
        """Write everything to a tar; it is compressed as the file's name ends (``.gz``, ``.xz``)."""
        suffix = file.suffix.removeprefix(".")
        compressed = suffix if suffix in {"gz", "bz2", "xz"} else ""
        with tarfile.open(file, f"w:{compressed}") as tar:  # type: ignore[call-overload]
            for path in sorted({*self.files, *self.links}):
                member = tarfile.TarInfo(path.lstrip("/"))
                member.mode = 0o644
                content = self.files.get(path, b"")
                member.size = len(content)
                if path in self.links:
                    member.type, member.linkname = tarfile.SYMTYPE, self.links[path]
                tar.addfile(member, io.BytesIO(content))

    def _folders(self) -> dict[str, set[str]]:
        if not self._children:
            for path in (*self.files, *self.links):
                while path != "/":
                    folder, _, name = path.rpartition("/")
                    names = self._children.setdefault(folder or "/", set())
                    if name in names:
                        break
                    names.add(name)
                    path = folder or "/"
        return self._children

    def _resolve(self, path: str) -> str:
        """The path after following links. Raises OSError on a loop of them."""
        pending = [part for part in reversed(path.split("/")) if part]
        walked = ""
        followed = 0
        while pending:
            part = pending.pop()
            if part == ".":
                continue
            if part == "..":
                walked = walked.rpartition("/")[0]
                continue
            target = self.links.get(f"{walked}/{part}")
            if target is None:
                walked = f"{walked}/{part}"
                continue
            followed += 1
            if followed > MOST_LINKS:
                raise OSError(errno.ELOOP, "too many links", path)
            if target.startswith("/"):
                walked = ""
            pending.extend(part for part in reversed(target.split("/")) if part)
        return walked or "/"
