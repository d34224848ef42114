"""The base of all snapshots: a reader of a tree of files, with links followed inside it."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod

from ouchi.core.errors import BadInput
from ouchi.machine import Path
from ouchi.machine.snapshot.links import LeadsOutsideError, follow

LARGEST = 4 * 1024 * 1024
"""Bytes; the largest file that facts read is the cpuinfo of a big host, about 2 MB."""

PROBES = "/.ouchi"
"""The folder of the probes (see :meth:`ouchi.machine.Reader.probe`)."""


class Tree(ABC):
    """A :class:`~ouchi.machine.Reader` of a host's files, symbolic links among them.

    Links are followed as on that host: an absolute one starts at the snapshot's own root. A path or link that
    leads above the root raises :class:`BadInput`, so nothing outside can be reached; a loop of links is an
    OSError, as it is on a host. Names with control characters or that are not UTF-8 are treated as missing.

    The files do not change while they are read, so folders are resolved once.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._folders = {"": ""}  # a folder's path -> its real path

    def read(self, path: Path) -> str:
        # tar pads files of /sys with zeros to the size that stat(2) gives.
        return self.read_bytes(path).decode("utf-8", errors="replace").rstrip("\0")

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        real = self._real(str(path))
        if most >= 0:
            return self._content(real, most)
        content = self._content(real, LARGEST + 1)
        if len(content) > LARGEST:
            raise too_large(f"{self.name}: {path}")
        return content

    def probe(self, name: str) -> str:
        try:
            return self.read(f"{PROBES}/{name}")
        except OSError:
            return ""

    def exists(self, path: Path) -> bool:
        try:
            return self._exists(self._real(str(path)))
        except OSError:
            return False

    def entries(self, path: Path) -> list[str]:
        try:
            return sorted(self._names(self._real(str(path))))
        except OSError:
            return []

    def link(self, path: Path) -> str:
        try:
            name = self.readlink(str(path)).rstrip("/").rpartition("/")[2]
        except OSError:
            return ""
        return name if name.isprintable() else ""

    def readlink(self, path: str) -> str:
        """The whole target of a symbolic link. Raises OSError for what is no link."""
        folder, _, name = path.rpartition("/")
        target = self._target(f"{self._folder(folder)}/{name}")
        if target is None:
            raise OSError(errno.EINVAL, "not a link", path)
        return target

    def _real(self, path: str) -> str:
        """The real path, links followed. Raises OSError on a loop of links."""
        folder, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return self._follow(path)
        real = f"{self._folder(folder)}/{name}"
        return real if self._target(real) is None else self._follow(real)

    def _folder(self, folder: str) -> str:
        known = self._folders.get(folder)
        if known is None:
            # Through its parent, which is known from the folder's neighbours.
            known = self._folders[folder] = self._real(folder)
        return known

    def _follow(self, path: str) -> str:
        try:
            return follow(path, self._target, self._is_folder)
        except LeadsOutsideError:
            raise BadInput.of(
                "a path in the snapshot leads outside it",
                where=f"{self.name}: {path}",
                expected="paths and links that stay inside the snapshot",
                remedy="take the snapshot again",
            ) from None

    # ``real`` is an absolute path without links; the root is the empty one.

    @abstractmethod
    def _target(self, real: str) -> str | None:
        """The target of a symbolic link; None when there is none."""

    @abstractmethod
    def _is_folder(self, real: str) -> bool:
        """True when it is a folder."""

    @abstractmethod
    def _exists(self, real: str) -> bool:
        """True when it exists."""

    @abstractmethod
    def _names(self, real: str) -> list[str]:
        """The names in a folder; none when there is no folder. May raise OSError."""

    @abstractmethod
    def _content(self, real: str, most: int) -> bytes:
        """The first ``most`` bytes of a file. Raises OSError when there is none."""


def too_large(where: str, found: str = f"more than {LARGEST} bytes") -> BadInput:
    """The error for a file that is larger than :data:`LARGEST`."""
    return BadInput.of(
        "a file of the snapshot is too large", where=where, found=found, expected=f"at most {LARGEST} bytes"
    )
