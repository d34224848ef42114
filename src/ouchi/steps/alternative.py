"""Which of several programs has a common name, as update-alternatives keeps it.

The state: ``auto``, whether the system chooses by itself, and ``value``, the program's path; ``None``: no such name.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, State

KIND = "alternative"

LOOK = 'for name; do update-alternatives --query "$name" 2>/dev/null || :; echo; echo end; done'


def alternative(name: str, value: str, *then: str) -> Change:
    """``name`` is the program at ``value``, whatever is installed later."""
    return Change(KIND, name, {"auto": False, "value": value}, then)


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """The choice of each name (update-alternatives(1), query format)."""
    told = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.split("\nend\n")
    return {key: _state(text) for key, text in zip(keys, told, strict=False)}


def _state(text: str) -> State:
    # What describes the name itself is before the first empty line; the choices follow.
    pairs = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line)
    return {"auto": pairs["Status"] == "auto", "value": pairs["Value"]} if "Value" in pairs else None


def script(key: str, state: State) -> str:
    """Chooses, or leaves it to the system again."""
    if state is None:
        return ":\n"
    name = shlex.quote(key)
    if state["auto"]:
        return f"update-alternatives --auto {name} >/dev/null\nsync -f /etc\n"
    return f"update-alternatives --set {name} {shlex.quote(state['value'])} >/dev/null\nsync -f /etc\n"


def words(_key: str, state: State) -> list[str]:
    """The program, and whose choice it is."""
    return [f"{state['value']}{' (chosen by the system)' if state['auto'] else ''}"] if state else []
