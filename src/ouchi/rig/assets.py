"""The assets that every rig of a cache is made from; they never change once made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.errors import BadInput
from ouchi.machine import Machine
from ouchi.rig.image import Image
from ouchi.rig.tools import Tools

ASSETS = "assets.json"
"""The file in a rig's folder that names its assets: its disk is a layer over them, and its states need them."""


@dataclass(frozen=True, slots=True)
class Assets:
    """Programs, image, whether KVM works, and a disk with the state :data:`ouchi.rig.states.BASE`."""

    tools: Tools
    image: Image
    kvm: bool
    base: PurePath

    def to_json(self) -> str:
        """As JSON text for :func:`read_assets`."""
        tools, image = self.tools, self.image
        members = {
            "tools": [str(tools.folder), tools.key],
            "image": [str(image.folder), image.key],
            "kvm": self.kvm,
            "base": str(self.base),
        }
        return json.dumps(members, indent=1)


def read_assets(machine: Machine, folder: PurePath) -> Assets | None:
    """The assets of the rig in ``folder``; None when there is no rig, or its file cannot be read."""
    if not machine.exists(folder / ASSETS):
        return None
    try:
        members = json.loads(machine.read(folder / ASSETS))
        (tools, tools_key), (image, image_key) = members["tools"], members["image"]
        kvm, base = members["kvm"], PurePath(members["base"])
    except (ValueError, KeyError, TypeError):  # damaged, or by another version of ouchi
        return None
    return Assets(Tools(PurePath(tools), tools_key), Image(PurePath(image), image_key), kvm, base)


def require_same(machine: Machine, assets: Assets, folder: PurePath) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` when the rig in ``folder`` was made from other assets."""
    if read_assets(machine, folder) != assets:
        raise BadInput.of(
            "this rig was made by another version of ouchi, or on another machine",
            where=str(folder / ASSETS),
            expected=str(assets.base.parent),
            remedy="ouchi rig up --new, which forgets its disk and snapshots",
        )
