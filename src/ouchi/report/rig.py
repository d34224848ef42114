"""``ouchi rig status`` and ``ouchi rig snapshot --list`` as text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ouchi.rig.overview import RigOverview
from ouchi.rig.states import SavedState

NEXT = {
    "none": "make it: ouchi rig up",
    "off": "boot it: ouchi rig up",
    "suspended": "resume it: ouchi rig up",
    "failed": "start it again: ouchi rig up",
    "starting": "wait for it: ouchi rig up",
}
"""What to do next, by phase."""


def rig_text(rig: RigOverview) -> str:
    """A line for each thing, then the saved states."""
    return "\n".join(_lines(rig))


def state_line(state: SavedState) -> str:
    """Name, local time and size of a saved state."""
    when = datetime.fromtimestamp(state.saved).astimezone()
    return f"{state.name:<20}{when:%Y-%m-%d %H:%M:%S}{state.size / 1e6:>8.0f} MB"


def _lines(rig: RigOverview) -> Iterator[str]:
    yield (
        "there is no rig" if rig.phase == "none" else f"the rig is {rig.phase}" + (f": {rig.text}" if rig.text else "")
    )
    if rig.shape:
        yield f"  {'NUMA':<10}{rig.shape}"
    if rig.port:
        yield f"  {'login':<10}ouchi rig ssh, or: ssh -F {rig.ssh_config} rig (port {rig.port} of 127.0.0.1)"
    if rig.folder_bytes:
        yield f"  {'disk':<10}{rig.folder_bytes / 1e9:.1f} GB in {rig.folder}"
    if rig.cache_bytes:
        yield f"  {'made from':<10}{rig.cache_bytes / 1e9:.1f} GB in {rig.cache}"
    for number, state in enumerate(rig.states):
        yield f"  {'' if number else 'saved':<10}{state_line(state)}"
    if rig.phase in NEXT:
        yield f"next: {NEXT[rig.phase]}"
