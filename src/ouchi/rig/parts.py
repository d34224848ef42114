"""What every rig of a cache is made of; none of it ever changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.errors import BadInput, error
from ouchi.machine import Machine
from ouchi.rig.image import Image
from ouchi.rig.tools import Tools

PARTS = "parts.json"
"""In a rig's folder: what its disk lies over, and whose states it holds."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Programs, image, whether the CPUs are real ones, and a disk with the state :data:`ouchi.rig.states.BASE`."""

    tools: Tools
    image: Image
    kvm: bool
    base: PurePath

    def to_json(self) -> str:
        """As text for :func:`read_parts`."""
        tools, image = self.tools, self.image
        members = {
            "tools": [str(tools.folder), tools.key], "image": [str(image.folder), image.key],
            "kvm": self.kvm, "base": str(self.base),
        }  # fmt: skip
        return json.dumps(members, indent=1)


def read_parts(machine: Machine, folder: PurePath) -> Parts | None:
    """What the rig in ``folder`` is made of; None when there is none, or nothing that can be read."""
    if not machine.exists(folder / PARTS):
        return None
    try:
        members = json.loads(machine.read(folder / PARTS))
        (tools, tools_key), (image, image_key) = members["tools"], members["image"]
        kvm, base = members["kvm"], PurePath(members["base"])
    except (ValueError, KeyError, TypeError):  # damaged, or of another ouchi
        return None
    return Parts(Tools(PurePath(tools), tools_key), Image(PurePath(image), image_key), kvm, base)


def require_same(machine: Machine, parts: Parts, folder: PurePath) -> None:
    """Raises :class:`~ouchi.core.errors.BadInput` when the rig in ``folder`` is made of other parts, which its states need."""
    if read_parts(machine, folder) != parts:
        raise BadInput(
            error(
                "this rig was made by another version of ouchi, or on another machine",
                where=str(folder / PARTS),
                expected=str(parts.base.parent),
                remedy="ouchi rig up --new, which forgets its disk and snapshots",
            )
        )
