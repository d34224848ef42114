"""A value in sysfs, such as a CPU's governor. The state is its text; ``None`` where the file is not there."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, State

KIND = "value"

LOOK = 'for path; do printf "%s\\n" "$(head -n 1 -- "$path" 2>/dev/null)"; done'


def value(path: str, text: str) -> Change:
    """The file at ``path`` says ``text``, until the next boot."""
    return Change(KIND, path, text)


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """The first line of each."""
    lines = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.splitlines()
    return {key: line or None for key, line in zip(keys, lines, strict=True)}


def script(key: str, state: State) -> str:
    """Writes it."""
    return ":\n" if state is None else f"printf '%s\\n' {shlex.quote(state)} >{shlex.quote(key)}\n"


def words(_key: str, state: State) -> list[str]:
    """The text."""
    return [] if state is None else [str(state)]
