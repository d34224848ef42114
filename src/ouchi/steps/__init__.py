"""Kinds of change to a host that can be taken back: each is a way to look at a state and a way to bring one about.

A state is a plain JSON value, ``None`` when the thing is not there. To do is to put the wanted state, to undo is to put
the one that was there before. A state is put by a POSIX shell script with nothing but the host's own tools, so the same
text serves ouchi here, ouchi over ssh, and the rescue script, which must work when ouchi is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ouchi.machine import Machine

State = Any
"""A JSON value, compared by equality."""


class Kind(Protocol):
    """One kind of change. Keys say what is changed: a path, a PCI address, a name."""

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        """The state of each key as it is now; asks the machine once for all of them."""

    def script(self, key: str, state: State) -> str:
        """A script that brings ``state`` about, also from a half-way state; it ends with another status when it cannot."""

    def words(self, key: str, state: State) -> list[str]:
        """The state in lines, for showing a difference."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one key shall be. ``then`` names the refreshes (:mod:`ouchi.steps.refresh`) that make it take effect."""

    kind: str
    key: str
    state: State
    then: tuple[str, ...] = ()
