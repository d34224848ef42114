"""Saved states of a rig (memory, CPUs, devices, disk), which QEMU keeps inside the file of its disk."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from ouchi.core.errors import BadInput, Failed
from ouchi.machine import Machine
from ouchi.rig.monitor import Monitor
from ouchi.rig.tools import Tools

BASE = "base"
"""After the first boot, with nothing changed."""
BOOTED = "booted"
"""After the last boot."""
SUSPENDED = "suspended"
"""When it was suspended."""
OWN = (BASE, BOOTED, SUSPENDED)


@dataclass(frozen=True, slots=True)
class SavedState:
    """A saved state: its name, when it was saved (seconds since 1970) and the bytes of its memory."""

    name: str
    saved: int
    size: int


def require_name(name: str) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` for a name that is not valid or that the rig uses itself."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,59}", name) or name in OWN:
        raise BadInput.of(
            "not a valid name for a snapshot",
            found=name,
            expected=f"a letter, then letters, digits, '_', '.' and '-'; not {', '.join(OWN)}",
        )


def save_state(monitor: Monitor, name: str) -> None:
    """Save the state of the running rig as ``name``, replacing one of that name.

    Raises :class:`~ouchi.core.errors.Failed` with QEMU's reason.
    """
    if message := monitor.command(f"savevm {name}", within=300):
        raise Failed.of(
            f"the rig's state could not be saved as {name}",
            found=message,
            expected="0.4 GB of room on its disk's file system",
            remedy="make room, then the same again; or without its memory: ouchi rig up --cold",
        )


def saved_states(machine: Machine, tools: Tools, disk: PurePath) -> list[SavedState]:
    """The states in a disk, whether the rig runs or not, oldest first; none when there is no disk."""
    if not machine.exists(disk):
        return []
    answer = machine.run(tools.argv("qemu-img", "info", "--force-share", "--output=json", str(disk)))
    return parse_states(json.loads(answer.stdout))


def parse_states(info: Mapping[str, Any]) -> list[SavedState]:
    """The states in the JSON of ``qemu-img info``, oldest first."""
    found = [SavedState(one["name"], one["date-sec"], one["vm-state-size"]) for one in info.get("snapshots", ())]
    return sorted(found, key=lambda state: state.saved)


def require_state(known: Sequence[SavedState], name: str) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` when there is no such state."""
    if name not in (names := [state.name for state in known]):
        raise BadInput.of(
            "no such snapshot",
            found=name,
            expected=", ".join(names) or "none is there",
            remedy="ouchi rig snapshot --list",
        )
