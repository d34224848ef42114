"""A snapshot that is a folder."""

from __future__ import annotations

import errno
import os

from ouchi.machine import Path
from ouchi.machine.snapshot.tree import Tree


class SnapshotReader(Tree):
    """A folder with a host's files at their absolute paths; each is opened only when it is read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._root = str(folder)

    def _target(self, real: str) -> str | None:
        try:
            return os.readlink(self._root + real)
        except (OSError, ValueError):  # ValueError: a name with a zero byte
            return None

    def _is_folder(self, real: str) -> bool:
        return os.path.isdir(self._root + real)

    def _exists(self, real: str) -> bool:
        return real.isprintable() and os.path.exists(self._root + real)

    def _names(self, real: str) -> list[str]:
        return [name for name in os.listdir(self._root + real) if name.isprintable()]

    def _content(self, real: str, most: int) -> bytes:
        path = self._root + real
        # Checked before it is opened: opening a pipe would wait for its other end.
        if not real.isprintable() or not os.path.isfile(path):
            raise FileNotFoundError(errno.ENOENT, "not a file in the snapshot", real)
        with open(path, "rb") as file:
            return file.read(most)
