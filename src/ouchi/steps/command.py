"""A command that is run once and leaves nothing to undo, such as a request for OVS to redistribute its Rx queues."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, Kind, Lasts, State


def command(*argv: str) -> Change:
    """Run ``argv`` once."""
    return Change("command", shlex.join(argv), "run", lasts=Lasts.PROCESS)


class CommandKind(Kind):
    """A command by its text; it has never been run as far as the state goes."""

    name = "command"

    def look(self, _machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        return dict.fromkeys(keys)

    def script(self, key: str, _state: State) -> str:
        return f"{key}\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return ["run once"] if state else []
