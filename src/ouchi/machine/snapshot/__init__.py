"""Snapshots: the files of a host, in a folder or in an archive of any usual compression."""

from __future__ import annotations

import os

from ouchi.core.errors import BadInput
from ouchi.machine import Path
from ouchi.machine.snapshot.folder import SnapshotReader
from ouchi.machine.snapshot.tree import Tree

__all__ = ["SnapshotReader", "Tree", "open_snapshot"]


def open_snapshot(path: Path) -> Tree:
    """Open a folder or an archive with a host's files at their absolute paths.

    Raises :class:`BadInput` when it does not exist, is damaged or too large, and when neither ``/proc`` nor ``/sys`` is in
    it. Nothing is extracted.
    """
    tree: Tree
    if os.path.isdir(path):
        tree = SnapshotReader(path)
    else:
        from ouchi.machine.snapshot.archive import ArchiveReader, index
        from ouchi.machine.snapshot.unpack import read_unpacked

        tree = ArchiveReader(str(path), index(read_unpacked(str(path)), str(path)))
    top = tree.entries("/")
    if "proc" not in top and "sys" not in top:
        raise BadInput.of(
            "not a snapshot of a host",
            where=str(path),
            found=f"at the top: {', '.join(top[:6])[:200]}" if top else "an empty archive",
            expected="the folders proc and sys at the top, as `ouchi inspect --save FILE` writes them",
        )
    return tree
