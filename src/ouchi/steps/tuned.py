"""The active profile of tuned. The state has its name, ``profile``, and ``auto``, whether tuned chose it by itself;
``None``: none is active.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, State

KIND = "tuned"
KEY = "profile"

LOOK = "tuned-adm active 2>/dev/null || :; tuned-adm profile_mode 2>/dev/null || :"


def profile(name: str) -> Change:
    """tuned runs with this profile."""
    return Change(KIND, KEY, {"profile": name, "auto": False})


def look(machine: Machine, keys: Sequence[str]) -> dict[str, State]:
    """What tuned-adm says; without tuned, none."""
    return dict.fromkeys(keys, _state(machine.run(("sh", "-c", LOOK), timeout=30).stdout))


def _state(told: str) -> State:
    pairs = dict(re.findall(r"^(Current active profile|Profile selection mode): (\S.*?) *$", told, re.MULTILINE))
    name = pairs.get("Current active profile")
    return {"profile": name, "auto": pairs.get("Profile selection mode") == "auto"} if name else None


def script(_key: str, state: State) -> str:
    """Changes the profile, leaves the choice to tuned again, or switches it off."""
    if state is None:
        return "tuned-adm off\n"
    return (
        "tuned-adm auto_profile\n" if state["auto"] else f"tuned-adm profile {shlex.join(state['profile'].split())}\n"
    )


def words(_key: str, state: State) -> list[str]:
    """The name, and whose choice it is."""
    return [f"{state['profile']}{' (chosen by tuned)' if state['auto'] else ''}"] if state else []
