"""The user's rig at a glance: its phase, shape, login, saved states and sizes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from ouchi.machine.background import Launcher
from ouchi.rig import control
from ouchi.rig.assets import read_assets
from ouchi.rig.hardware import Files
from ouchi.rig.keeper import read_status
from ouchi.rig.login import port_of
from ouchi.rig.paths import RigPaths
from ouchi.rig.states import SavedState


@dataclass(frozen=True, slots=True)
class RigOverview:
    """What there is of a rig.

    ``phase``: ``up``, ``starting``, ``off``, ``suspended``, ``failed``, or ``none`` where there is no rig; ``text``: the last
    message; ``shape``: its NUMA nodes. ``port``: of 127.0.0.1, forwarded to its sshd, 0 unless it is up. Sizes in bytes on
    the disk: of what rigs are made from, and of the rig with its ``states``.
    """

    phase: str
    text: str
    shape: str
    port: int
    ssh_config: str
    states: tuple[SavedState, ...]
    cache: str
    cache_bytes: int
    folder: str
    folder_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"schema": 1, **asdict(self)}


def look(machine: Launcher, paths: RigPaths) -> RigOverview:
    """Return what there is of the user's rig. Changes nothing."""
    last, assets = read_status(machine, paths), read_assets(machine, paths.folder)
    phase, text = "none", ""
    if last:
        phase, text = last.phase.value, last.text
        if control.is_suspended(last):
            phase, text = "suspended", ""
        elif phase in ("up", "starting") and not control.has_processes(paths):
            phase, text = "failed", "its keeper was killed"
        elif last.findings:
            text = last.findings[0].claim
    elif assets and machine.exists(Files(paths.folder).disk):
        phase = "off"
    return RigOverview(
        phase,
        text,
        assets.shape.value if assets else "",
        port_of(machine.read(paths.ssh_config)) if phase == "up" and machine.exists(paths.ssh_config) else 0,
        str(paths.ssh_config),
        tuple(control.saved(machine, paths)),
        str(paths.cache),
        _bytes(machine, paths.cache),
        str(paths.folder),
        _bytes(machine, paths.folder),
    )


def _bytes(machine: Launcher, folder: PurePath) -> int:
    """The bytes that a folder takes on the disk; files may vanish meanwhile."""
    if not machine.exists(folder):
        return 0
    found = machine.run(("du", "-s", "-B1", str(folder)), check=False).stdout.split()
    return int(found[0]) if found and found[0].isdigit() else 0
