"""The program behind a common name, as managed by update-alternatives.

The state: ``auto``, whether the system chooses by itself, and ``value``, the program's path; ``None``: no such name.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, Kind, State

LOOK = 'for name; do update-alternatives --query "$name" 2>/dev/null || :; echo; echo end; done'


def alternative(name: str, value: str, *then: str) -> Change:
    """``name`` is the program at ``value``, whatever is installed later."""
    return Change("alternative", name, {"auto": False, "value": value}, then)


class AlternativeKind(Kind):
    """The choice for a name (update-alternatives(1))."""

    name = "alternative"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        texts = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.split("\nend\n")
        return {key: parse(text) for key, text in zip(keys, texts, strict=False)}

    def script(self, key: str, state: State) -> str:
        if state is None:
            return ":\n"
        choice = "--auto" if state["auto"] else "--set"
        words = (choice, key) if state["auto"] else (choice, key, state["value"])
        return f"update-alternatives {shlex.join(words)} >/dev/null\nsync -f /etc\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return [f"{state['value']}{' (chosen by the system)' if state['auto'] else ''}"] if state else []


def parse(text: str) -> State:
    """The state in the query format of update-alternatives(1)."""
    # What describes the name itself is before the first empty line; the choices follow.
    pairs = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line)
    return {"auto": pairs["Status"] == "auto", "value": pairs["Value"]} if "Value" in pairs else None
