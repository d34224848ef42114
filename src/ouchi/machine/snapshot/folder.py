"""A snapshot that is a folder."""

from __future__ import annotations

import errno
import os

from ouchi.core.errors import BadInput, error
from ouchi.machine import Path
from ouchi.machine.snapshot.tree import Tree


class SnapshotReader(Tree):
    """A folder that holds a host's files at their absolute paths; each is opened only when it is asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._root = str(folder)
        if not os.path.isdir(self._root):
            raise BadInput(
                error("there is no such snapshot", where=self._root, expected="a folder with the files of a host")
            )

    def _target(self, place: str) -> str | None:
        try:
            return os.readlink(self._root + place)
        except (OSError, ValueError):  # ValueError: a name with a zero byte
            return None

    def _is_folder(self, place: str) -> bool:
        return os.path.isdir(self._root + place)

    def _exists(self, place: str) -> bool:
        return place.isprintable() and os.path.exists(self._root + place)

    def _names(self, place: str) -> list[str]:
        return [name for name in os.listdir(self._root + place) if name.isprintable()]

    def _content(self, place: str, most: int) -> bytes:
        real = self._root + place
        # Looked at before it is opened: opening a pipe would wait for its other end.
        if not place.isprintable() or not os.path.isfile(real):
            raise FileNotFoundError(errno.ENOENT, "not a file in the snapshot", place)
        with open(real, "rb") as file:
            return file.read(most)
