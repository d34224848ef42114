"""``ouchi doctor --fix``: what is safe while the host runs, done; what cannot be done, said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ouchi.checks.values import Mend, Mended, Trouble
from ouchi.machine import CommandFailed, Machine

SECONDS = 20.0
"""That one command may take."""


def fix(machine: Machine, troubles: Iterable[Trouble]) -> tuple[Mended, ...]:
    """Mend what can be; a mend that several findings name is done once."""
    mends = dict.fromkeys(trouble.mend for trouble in troubles if trouble.mend)
    return tuple(_mend(machine, mend) for mend in mends)


def _mend(machine: Machine, mend: Mend) -> Mended:
    done: list[str] = []
    failed: list[str] = []
    for path, value in mend.pokes:
        _tell(_poked(machine, path, value), done, failed)
    for path, text in mend.files:
        _tell(_written(machine, path, text), done, failed)
    for command in mend.commands:
        _tell(_run(machine, command), done, failed)
        if failed:  # what follows builds on it
            break
    return Mended(mend.name, tuple(done), tuple(failed))


Told = tuple[bool, str]
"""Whether something was done, and what, or why not."""


def _tell(told: Iterator[Told], done: list[str], failed: list[str]) -> None:
    for worked, text in told:
        (done if worked else failed).append(text)


def _poked(machine: Machine, path: str, value: str) -> Iterator[Told]:
    """Write a kernel's file, unless it says so already."""
    try:
        before = machine.read(path).strip()
        if before == value:
            return
        machine.poke(path, value)
        now = machine.read(path).strip()
    except OSError as reason:
        # The kernel keeps interrupts that it places itself, and answers with an input/output error.
        yield False, f"{path}: {reason.strerror or reason}"
        return
    yield (now != before or now == value), f"{path}: {before} → {now}"


def _written(machine: Machine, path: str, text: str) -> Iterator[Told]:
    """Make a file, unless it is there as it should be."""
    try:
        if machine.exists(path) and machine.read(path) == text:
            return
        machine.make_folder(PurePosixPath(path).parent)
        machine.write(path, text)
    except OSError as reason:
        yield False, f"{path}: {reason.strerror or reason}"
        return
    yield True, f"{path} written"


def _run(machine: Machine, command: tuple[str, ...]) -> Iterator[Told]:
    try:
        machine.run(command, timeout=SECONDS)
    except CommandFailed as reason:
        yield False, f"{' '.join(command)}: {reason.findings[0].found}"
        return
    yield True, " ".join(command)
