"""The active profile of tuned. The state is its name; ``None``: none is active."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ouchi.changes import Change, State
from ouchi.machine import Machine

KIND = "tuned"
KEY = "profile"


def profile(name: str) -> Change:
    """tuned runs with this profile."""
    return Change(KIND, KEY, name)


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """What tuned-adm says; without tuned, none."""
    told = machine.run(("sh", "-c", "tuned-adm active 2>/dev/null || :"), timeout=30).stdout
    match = re.search(r"^Current active profile: (\S.*)$", told, re.MULTILINE)
    return dict.fromkeys(keys, match[1].strip() if match else None)


def script(_key: str, state: State) -> str:
    """Changes the profile, or switches it off."""
    return f"tuned-adm profile {shlex.join(state.split())}\n" if state else "tuned-adm off\n"


def words(_key: str, state: State) -> list[str]:
    """The name."""
    return [state] if state else []
