"""A value in sysfs or procfs, such as a CPU's governor. The state is its text; ``None`` where the file cannot be read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, Kind, Lasts, State

LOOK = 'for path; do printf "%s\\n" "$(head -n 1 -- "$path" 2>/dev/null)"; done'


def value(path: str, text: str, *, lasts: Lasts = Lasts.UNDO) -> Change:
    """The file at ``path`` holds ``text``. ``lasts``: until undone where something sets it again at boot."""
    return Change("sysfs", path, text, lasts=lasts)


class SysfsKind(Kind):
    """The first line of a file of the kernel."""

    name = "sysfs"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        lines = machine.run(("sh", "-ceu", LOOK, "sh", *keys)).stdout.splitlines()
        return {key: line or None for key, line in zip(keys, lines, strict=True)}

    def script(self, key: str, state: State) -> str:
        return ":\n" if state is None else f"printf '%s\\n' {shlex.quote(state)} >{shlex.quote(key)}\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return [] if state is None else [str(state)]
