"""The active profile of tuned. The state has its name, ``profile``, and ``auto``, whether tuned chose it by itself;
``None``: none is active.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, Kind, State

LOOK = "tuned-adm active 2>/dev/null || :; tuned-adm profile_mode 2>/dev/null || :"


def profile(name: str) -> Change:
    """tuned runs with this profile."""
    return Change("tuned", "profile", {"profile": name, "auto": False})


class TunedKind(Kind):
    """The profile (tuned-adm(8)); the only key is ``profile``."""

    name = "tuned"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        return dict.fromkeys(keys, parse(machine.run(("sh", "-c", LOOK), timeout=30).stdout))

    def script(self, _key: str, state: State) -> str:
        if state is None:
            return "tuned-adm off\n"
        name = shlex.join(state["profile"].split())
        return "tuned-adm auto_profile\n" if state["auto"] else f"tuned-adm profile {name}\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return [f"{state['profile']}{' (chosen by tuned)' if state['auto'] else ''}"] if state else []


def parse(text: str) -> State:
    """The state in what tuned-adm prints; without tuned, none."""
    pairs = dict(re.findall(r"^(Current active profile|Profile selection mode): (\S.*?) *$", text, re.MULTILINE))
    name = pairs.get("Current active profile")
    return {"profile": name, "auto": pairs.get("Profile selection mode") == "auto"} if name else None
