"""Changes to a host, one kind per file: each can be checked, done and undone.

A step first looks whether there is anything to do, so that running again is resuming. What it changes
outside ouchi's own folders goes into the journal *before* the change, with what was there, so that
``down`` puts it back even when ``up`` was killed in between.
"""

from __future__ import annotations

from dataclasses import dataclass


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
