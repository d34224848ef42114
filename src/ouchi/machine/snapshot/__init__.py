"""Another computer, as the files that were read from it: a folder, or an archive of any usual compression."""

from __future__ import annotations

import os

from ouchi.core.errors import BadInput, error
from ouchi.machine import Path
from ouchi.machine.snapshot.folder import SnapshotReader
from ouchi.machine.snapshot.tree import Tree

__all__ = ["SnapshotReader", "Tree", "open_snapshot"]


def open_snapshot(path: Path) -> Tree:
    """The host in a folder or an archive, with its files at their absolute paths.

    Raises :class:`BadInput` when there is no such thing, when it is damaged or too large, and when neither
    ``/proc`` nor ``/sys`` is in it. Nothing is written anywhere.
    """
    tree: Tree
    if os.path.isdir(path):
        tree = SnapshotReader(path)
    else:
        from ouchi.machine.snapshot.archive import ArchiveReader, load

        tree = ArchiveReader(str(path), load(str(path)))
    top = tree.entries("/")
    if "proc" not in top and "sys" not in top:
        raise BadInput(
            error(
                "this is no snapshot of a host",
                where=str(path),
                found=f"at the top: {', '.join(top[:6])[:200]}" if top else "nothing in it",
                expected="the folders proc and sys at the top, as `ouchi inspect --save FILE` writes them",
            )
        )
    return tree
