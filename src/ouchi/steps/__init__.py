"""Reversible changes of a host: each kind of change reads a state, and brings a state about.

A state is a plain JSON value, ``None`` when the thing does not exist. A change is made by putting its target state and
undone by putting the state of before. Most kinds put a state by a POSIX shell script that needs only the host's own
tools, so the same text serves ouchi on the host, ouchi over ssh, and the rescue script, which must work without ouchi.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from ouchi.machine import Machine

State = Any
"""A JSON value, compared by equality."""

Location = tuple[str, str]
"""A kind's name and a key: which thing is changed."""

SECONDS = 120.0
"""The longest time that putting one state may take, in seconds."""


class Lasts(StrEnum):
    """The lifetime of a change. One that ends with a process, or happens once, is not kept in the journal."""

    UNDO = "until undone"
    REBOOT = "until the next boot"
    PROCESS = "while the process runs"


@dataclass(frozen=True, slots=True)
class Change:
    """The target state of one key. ``then`` names the refreshes (:mod:`ouchi.steps.refresh`) that make it take effect."""

    kind: str
    key: str
    state: State
    then: tuple[str, ...] = ()
    lasts: Lasts = Lasts.UNDO

    @property
    def location(self) -> Location:
        """Kind and key."""
        return self.kind, self.key


@dataclass(frozen=True, slots=True)
class Record:
    """A change in the journal: what was there before, and what ouchi made of it.

    ``step``: the step of ``apply``, the part of ``up`` or the check of ``doctor`` that made it. ``in_progress``: it may
    be half made. ``boot_id``: the boot that it was made in, for a change that does not outlast it; else empty.
    """

    step: str
    kind: str
    key: str
    before: State
    after: State
    then: tuple[str, ...] = ()
    in_progress: bool = False
    boot_id: str = ""

    @property
    def location(self) -> Location:
        """Kind and key."""
        return self.kind, self.key


class Kind:
    """One kind of change. Keys name what is changed: a path, a PCI address, a name."""

    name: ClassVar[str]
    drifts: ClassVar[bool] = True
    """False for a kind that undoes its own part of a state, whatever others have made of the rest."""

    look_script: ClassVar[str] = ""
    """Prints a line for each of its arguments, the keys: what :meth:`parse` makes the state of."""

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        """Read the current state of each key, all of them at once."""
        lines = machine.run(("sh", "-ceu", self.look_script, "sh", *keys)).stdout.splitlines()
        return {key: self.parse(line) for key, line in zip(keys, lines, strict=True)}

    def parse(self, line: str) -> State:
        """Return the state in a line of :attr:`look_script`."""
        return line or None

    def describe(self, key: str, state: State) -> list[str]:
        """Describe a state in lines, to show a difference."""
        return [] if state is None else [str(state)]

    def script(self, key: str, state: State) -> str:
        """Return a script that brings ``state`` about, also from a half-made one; it fails when it cannot."""
        raise NotImplementedError(f"{self.name}: {key} = {state} has no script")

    def put(self, machine: Machine, key: str, state: State) -> None:
        """Bring ``state`` about. Raises :class:`~ouchi.core.errors.Failed`."""
        machine.run(("sh", "-ceu", self.script(key, state)), timeout=SECONDS)

    def plan(self, change: Change, now: State, record: Record | None) -> tuple[State, State]:
        """Return the states before and after a change, given an earlier ``record`` of the same key."""
        return (record.before if record else now), change.state

    def holds(self, target: State, now: State) -> bool:
        """Return whether a state that was put was brought about."""
        return matches(target, now)

    def current(self, record: Record, now: State) -> Record:
        """Return the record to undo, corrected for what others have changed since."""
        del now
        return record

    def drifted(self, record: Record, now: State) -> bool:
        """Return whether another program or user has changed the key since."""
        return self.drifts and not record.in_progress and now not in (record.before, record.after)


def matches(target: State, now: State) -> bool:
    """Whether a state is the target; members that the target does not have may be anything (a folder's mode, say)."""
    if isinstance(target, dict) and isinstance(now, dict):
        return all(name in now and now[name] == value for name, value in target.items())
    return bool(now == target)
