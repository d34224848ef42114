"""What a host is: read-only facts from sysfs, ``/proc`` and ``os-release``, through the one door.

Nothing here changes anything or starts a program, so a recorded snapshot answers as well as the machine itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ouchi.facts.cpu import Core, Cpu, physical_cores, read_cpus
from ouchi.facts.memory import HugepagePool, MemoryNode, read_memory
from ouchi.facts.nics import Nic, read_nics
from ouchi.facts.reading import plain
from ouchi.facts.system import Distribution, System, read_system
from ouchi.machine import Reader

__all__ = [
    "Core",
    "Cpu",
    "Distribution",
    "Facts",
    "HugepagePool",
    "MemoryNode",
    "Nic",
    "System",
    "collect",
    "physical_cores",
]

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """A host at one moment. ``schema`` is the version of this shape."""

    schema: int
    cpus: tuple[Cpu, ...]
    memory: tuple[MemoryNode, ...]
    nics: tuple[Nic, ...]
    system: System

    def to_json(self) -> dict[str, Any]:
        """The facts as plain JSON."""
        return dict(plain(self))


def collect(reader: Reader, session_address: str = "") -> Facts:
    """Read a host's facts; missing or odd files leave defaults, they never raise.

    ``session_address``: the local address of the user's remote session (third word of ``SSH_CONNECTION``).
    """
    return Facts(
        schema=SCHEMA,
        cpus=read_cpus(reader),
        memory=read_memory(reader),
        nics=read_nics(reader, session_address),
        system=read_system(reader),
    )
