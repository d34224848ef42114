"""The outcome of one piece of work that makes a host as it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """A text for the user, and whether anything was changed."""

    text: str
    changed: bool


def nothing(reason: str) -> Outcome:
    """There was nothing to do; ``reason`` says why."""
    return Outcome(reason, False)


def changed(text: str) -> Outcome:
    """An outcome that changed something."""
    return Outcome(text, True)
