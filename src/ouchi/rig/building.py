"""Folders that are built once: each gets its name only when it is complete."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import PurePath

from ouchi.core.waiting import wait_for
from ouchi.machine import Machine

UNFINISHED = ".building-"
CLEAR_SECONDS = 60.0


def digest(*parts: str) -> str:
    """A key of 16 hexadecimal digits for everything that something is built from."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextlib.contextmanager
def building(machine: Machine, folder: PurePath) -> Iterator[PurePath]:
    """A new folder beside ``folder``, which is renamed to it at the end of the body.

    What a killed run has left is removed first, so callers must hold a lock on the parent folder.
    """
    clear(machine, folder.parent)
    work = folder.parent / f"{UNFINISHED}{folder.name}"
    machine.make_folder(work, mode=0o700)
    try:
        yield work
        machine.run(("sync", "-f", str(work)), timeout=300)
        machine.run(("mv", "-T", str(work), str(folder)))
    finally:
        clear(machine, folder.parent)


def clear(machine: Machine, parent: PurePath) -> None:
    """Remove unfinished folders. A program that was killed a moment ago may still write there, so it is tried again."""
    for name in machine.entries(parent):
        if name.startswith(UNFINISHED):
            what = f"{parent / name} to be removable"
            wait_for(what, partial(machine.remove, parent / name), seconds=CLEAR_SECONDS)
