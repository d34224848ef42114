"""``ouchi doctor --fix``: make what is safe to change while the host runs, and report what could not be changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ouchi.checks.diagnosis import FixResult
from ouchi.checks.model import Fix, Problem
from ouchi.machine import CommandFailed, Machine

SECONDS = 20.0
"""The longest that one command may take."""

Attempt = tuple[bool, str]
"""Whether something was changed, and what, or why not."""


def fix(machine: Machine, problems: Iterable[Problem]) -> tuple[FixResult, ...]:
    """Make the fixes of problems; one that several findings share is made once."""
    fixes = dict.fromkeys(problem.fix for problem in problems if problem.fix)
    return tuple(_make(machine, one) for one in fixes)


def _make(machine: Machine, fix: Fix) -> FixResult:
    done: list[str] = []
    failed: list[str] = []
    for path, value in fix.pokes:
        _note(_poke(machine, path, value), done, failed)
    for path, text in fix.files:
        _note(_write(machine, path, text), done, failed)
    for command in fix.commands:
        _note(_run(machine, command), done, failed)
        if failed:  # the later commands depend on it
            break
    return FixResult(fix.name, tuple(done), tuple(failed))


def _note(attempts: Iterator[Attempt], done: list[str], failed: list[str]) -> None:
    for worked, text in attempts:
        (done if worked else failed).append(text)


def _poke(machine: Machine, path: str, value: str) -> Iterator[Attempt]:
    """Write a file of the kernel, unless it has the value."""
    try:
        before = machine.read(path).strip()
        if before == value:
            return
        machine.poke(path, value)
        now = machine.read(path).strip()
    except OSError as reason:
        # For managed interrupts the kernel answers with an input/output error.
        yield False, f"{path}: {reason.strerror or reason}"
        return
    yield (now != before or now == value), f"{path}: {before} → {now}"


def _write(machine: Machine, path: str, text: str) -> Iterator[Attempt]:
    """Write a file, unless it has the text."""
    try:
        if machine.exists(path) and machine.read(path) == text:
            return
        machine.make_folder(PurePosixPath(path).parent)
        machine.write(path, text)
    except OSError as reason:
        yield False, f"{path}: {reason.strerror or reason}"
        return
    yield True, f"{path} written"


def _run(machine: Machine, command: tuple[str, ...]) -> Iterator[Attempt]:
    try:
        machine.run(command, timeout=SECONDS)
    except CommandFailed as reason:
        yield False, f"{' '.join(command)}: {reason.findings[0].found}"
        return
    yield True, " ".join(command)
