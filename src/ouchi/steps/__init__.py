"""Changes to a host, one kind per file: each can be checked, done and undone.

A step first looks whether there is anything to do, so that running again is resuming. What it changes
outside ouchi's own folders goes into the journal *before* the change, with what was there, so that
``down`` puts it back even when ``up`` was killed in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ouchi.events import Say
from ouchi.machine import Machine

Record = Mapping[str, Any]
"""What an undo needs, as plain JSON."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did: a text, and whether it changed anything."""

    text: str
    changed: bool


def nothing(reason: str) -> Outcome:
    """Nothing to do, and why."""
    return Outcome(reason, False)


def changed(text: str) -> Outcome:
    """Something was changed."""
    return Outcome(text, True)


class Journal(Protocol):
    """Where a step notes what it is about to change (see :mod:`ouchi.journal`)."""

    def note(self, kind: str, key: str, record: Record) -> Record:
        """Keep ``record`` under ``(kind, key)`` on disk before the change is made.

        When that key is already noted (an earlier, perhaps killed run), the earlier record stays, because it
        holds what was there before ouchi, and is returned.
        """

    def records(self, kind: str) -> Mapping[str, Record]:
        """Every record of a kind by key, oldest first."""

    def forget(self, kind: str, key: str) -> None:
        """Drop a record once it has been undone."""


class Step(Protocol):
    """One reversible change."""

    def do(self, machine: Machine, journal: Journal, say: Say) -> Outcome:
        """Check, and make the change when it is missing. Raises :class:`ouchi.errors.OuchiError`."""
