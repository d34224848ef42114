"""Looking for what a part makes in the cloud, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ouchi.parts.context import Context
from ouchi.parts.part import PartState, missing, present, unknown


def look_for(at: Context, names: Sequence[str], service: str, known: Callable[[], Collection[str]]) -> PartState:
    """Which of ``names`` there are in what ``known`` asks a running ``service`` for.

    While the cloud does not run it cannot be asked; without any data it has none of them.
    """
    names = list(dict.fromkeys(names))
    make = f"make {', '.join(names)}"
    if not {"mariadb", "keystone-api", service} <= at.running:
        if at.machine.exists(f"{at.instance.state}/mariadb"):
            return unknown(f"{service} is not running", make)
        return missing(make)
    there = known()
    if lost := [name for name in names if name not in there]:
        return missing(f"make {', '.join(lost)}", f"missing: {', '.join(lost)}")
    return present(", ".join(names))
