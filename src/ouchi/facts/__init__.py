"""The facts of a host: what sysfs, ``/proc``, ``os-release`` and a few probes show, read through one interface.

Nothing is changed, and a recorded snapshot can be read in place of the host itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ouchi.core.plain import STRICT, to_plain
from ouchi.facts.boot import Boot, read_boot
from ouchi.facts.cpu import Core, Cpu, L3Group, physical_cores, read_cpus, read_l3
from ouchi.facts.dpdk import Dpdk, Driver, Support, read_dpdk
from ouchi.facts.memory import HugepagePool, MemoryNode, read_memory
from ouchi.facts.nics import Nic, read_nics
from ouchi.facts.pci import PcieLink
from ouchi.facts.processor import CState, Processor, read_processor
from ouchi.facts.reading import pairs, text_of, version
from ouchi.facts.system import Distribution, System, read_system
from ouchi.machine import Reader

__all__ = [
    "Boot",
    "CState",
    "Core",
    "Cpu",
    "Distribution",
    "Dpdk",
    "Driver",
    "Facts",
    "HugepagePool",
    "L3Group",
    "MemoryNode",
    "Nic",
    "PcieLink",
    "Processor",
    "Support",
    "System",
    "collect",
    "physical_cores",
]

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """A host at one moment. ``schema`` is the version of this shape.

    ``ovs_version`` is that of the installed Open vSwitch, empty without one.
    """

    schema: int
    cpus: tuple[Cpu, ...]
    l3: tuple[L3Group, ...]
    processor: Processor
    memory: tuple[MemoryNode, ...]
    nics: tuple[Nic, ...]
    dpdk: Dpdk
    boot: Boot
    ovs_version: str
    system: System

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    def to_json(self) -> dict[str, Any]:
        """The facts as plain JSON."""
        return dict(to_plain(self))


def collect(reader: Reader, session_address: str = "") -> Facts:
    """Read a host's facts; missing or odd files leave defaults, they never raise.

    ``session_address``: the local address of the user's remote session (third word of ``SSH_CONNECTION``).
    """
    cpuinfo = text_of(reader, "/proc/cpuinfo")
    meminfo = pairs(text_of(reader, "/proc/meminfo"), ":")
    cpus = read_cpus(reader, cpuinfo)
    return Facts(
        schema=SCHEMA,
        cpus=cpus,
        l3=read_l3(reader, cpus),
        processor=read_processor(reader, cpuinfo, cpus),
        memory=read_memory(reader, meminfo),
        nics=read_nics(reader, session_address),
        dpdk=read_dpdk(reader),
        boot=read_boot(reader),
        ovs_version=version(reader.probe("ovs-version")),
        system=read_system(reader, cpuinfo, meminfo),
    )
