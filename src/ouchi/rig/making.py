"""Things that are made once: each has its name only when it is complete."""

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
    """16 hexadecimal digits that stand for everything that something is made from."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextlib.contextmanager
def making(machine: Machine, folder: PurePath) -> Iterator[PurePath]:
    """A new folder beside ``folder``, which gets its name when all went well.

    What somebody left who was killed here is removed first: callers see to it that only one makes things at a time.
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
    """Remove what is unfinished; a program that was killed just now may still be writing there."""
    for name in machine.entries(parent):
        if name.startswith(UNFINISHED):
            what = f"{parent / name} to be left alone"
            wait_for(what, partial(machine.remove, parent / name), seconds=CLEAR_SECONDS)
