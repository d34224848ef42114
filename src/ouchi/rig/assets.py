"""The assets that every rig of a cache is made from; they never change once made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.errors import BadInput
from ouchi.core.plain import adapter, from_json
from ouchi.machine import Machine
from ouchi.rig.hardware import Shape
from ouchi.rig.image import Image
from ouchi.rig.tools import Tools

ASSETS = "assets.json"
"""The file in a rig's folder that names its assets: its disk is a layer over them, and its states need them."""


_OPTIONS = {Shape.ONE_NODE: " --nodes 1", Shape.TWO_NODES: " --nodes 2", Shape.MEMORYLESS: " --nodes 2 --memoryless"}


@dataclass(frozen=True, slots=True)
class Assets:
    """Programs, image, whether KVM works, the NUMA nodes, and a disk with the state :data:`ouchi.rig.states.BASE`."""

    tools: Tools
    image: Image
    kvm: bool
    base: PurePath
    shape: Shape = Shape.ONE_NODE

    def to_json(self) -> str:
        """As JSON text for :func:`read_assets`."""
        return adapter(Assets).dump_json(self, indent=1).decode()


def read_assets(machine: Machine, folder: PurePath) -> Assets | None:
    """The assets of the rig in ``folder``; None when there is no rig, or its file cannot be read."""
    if not machine.exists(folder / ASSETS):
        return None
    try:
        return from_json(Assets, machine.read_bytes(folder / ASSETS))
    except ValueError:  # damaged, or by another version of ouchi
        return None


def require_same(machine: Machine, assets: Assets, folder: PurePath) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` when the rig in ``folder`` was made from other assets."""
    found = read_assets(machine, folder)
    if found and found.shape is not assets.shape:
        raise BadInput.of(
            "this rig has other NUMA nodes",
            where=str(folder / ASSETS),
            found=found.shape,
            expected=assets.shape,
            remedy=f"ouchi rig up, which keeps its nodes; or ouchi rig up --new{_OPTIONS[assets.shape]}, which forgets its "
            "disk and snapshots",
        )
    if found != assets:
        raise BadInput.of(
            "this rig was made by another version of ouchi, or on another machine",
            where=str(folder / ASSETS),
            expected=str(assets.base.parent),
            remedy="ouchi rig up --new, which forgets its disk and snapshots",
        )
