"""A value in sysfs or procfs, such as a CPU's governor. The state is its text; ``None`` where the file cannot be read."""

from __future__ import annotations

import shlex

from ouchi.steps import Change, Kind, Lasts, State

LOOK = 'for path; do printf "%s\\n" "$(head -n 1 -- "$path" 2>/dev/null)"; done'


def value(path: str, text: str, *, lasts: Lasts = Lasts.UNDO) -> Change:
    """The file at ``path`` holds ``text``. ``lasts``: until undone where something sets it again at boot."""
    return Change("sysfs", path, text, lasts=lasts)


class SysfsKind(Kind):
    """The first line of a file of the kernel."""

    name = "sysfs"
    look_script = LOOK

    def script(self, key: str, state: State) -> str:
        return ":\n" if state is None else f"printf '%s\\n' {shlex.quote(state)} >{shlex.quote(key)}\n"
