"""The values of a plan. All are frozen; their JSON form has the version :data:`SCHEMA`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import BadInput, Finding, Severity
from ouchi.core.plain import STRICT, to_plain
from ouchi.facts.dpdk import Support

SCHEMA = 3

NovaValue = str | tuple[str, ...]
"""One value, or several for an option that is written once for each."""


class Style(StrEnum):
    """The aim of the pools, as ``cpus.prefer`` names it.

    ``capacity``: as few CPUs as will do for polling, the rest for guests. ``cache``: guests have L3 caches without
    Linux and without PMD threads. ``power``: PMD threads sleep, on as few cores as will do; on a hybrid
    machine the shared pool has efficient cores.
    """

    CAPACITY = "capacity"
    CACHE = "cache"
    POWER = "power"


@dataclass(frozen=True, slots=True)
class Pools:
    """The CPUs of each pool (numbers, ascending).

    ``host``: Linux and OpenStack. ``pmd``: OVS-DPDK's PMD threads. ``dedicated``: pinned vCPUs, one each.
    ``shared``: unpinned vCPUs and emulator threads; as a rule the same as ``host``.
    """

    host: tuple[int, ...]
    pmd: tuple[int, ...]
    dedicated: tuple[int, ...]
    shared: tuple[int, ...]

    @property
    def overlapped(self) -> bool:
        """True when PMD threads share CPUs with the host or with guests."""
        return bool(set(self.pmd) & ({*self.host, *self.shared, *self.dedicated}))


@dataclass(frozen=True, slots=True)
class HugepageNeed:
    """Hugepages that ouchi needs on a node: ``count`` pages of ``size_kib``."""

    node: int
    size_kib: int
    count: int


@dataclass(frozen=True, slots=True)
class VfPlan:
    """A VF with its settings, as ``ip link set PF vf NUMBER`` names them. ``vlan`` 0: none."""

    mac: str
    vlan: int
    trust: bool
    spoof_check: bool


@dataclass(frozen=True, slots=True)
class NicPlan:
    """A NIC of the host: kernel name, PCI address, NUMA node, and its role.

    ``role``: ``ovs-dpdk`` (OVS's PMD threads drive it), ``sriov`` (its ``vfs`` go to guests) or ``left alone``.
    ``rxqs``: the CPU of the PMD thread for each Rx queue. ``reason`` is why it has its role.
    """

    name: str
    address: str
    node: int
    role: Literal["ovs-dpdk", "sriov", "left alone"]
    physnet: str
    vfs: tuple[VfPlan, ...]
    rxqs: tuple[int, ...]
    dpdk: Support
    reason: str


@dataclass(frozen=True, slots=True)
class GuestPlan:
    """A server of the site: whether its vCPUs are pinned, why, and the NUMA node it is planned on.

    ``cpus``: where nova will put its vCPUs when the servers are created in the order of the plan (which thread of a core
    it takes first is not known); for one that is not pinned the shared pool on its node.
    """

    name: str
    vcpus: int
    memory_mib: int
    pinned: bool
    node: int
    cpus: tuple[int, ...]
    reason: str

    @property
    def flavor(self) -> str:
        """The name of its flavor, ``ouchi.pinned.2c.512m``: pinned or shared, vCPUs, MiB of memory."""
        return f"ouchi.{'pinned' if self.pinned else 'shared'}.{self.vcpus}c.{self.memory_mib}m"

    @property
    def extra_specs(self) -> dict[str, str]:
        """The extra specs of its flavor. Without hugepages a vhost-user port carries no packets."""
        pinned = {"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "share"} if self.pinned else {}
        return {"hw:mem_page_size": "large", **pinned}


@dataclass(frozen=True, slots=True)
class Alternative:
    """A plan in another style: its pools, its gains and costs as text, and what they were counted from.

    Numbers: ``pmd_cores``, ``dedicated_cpus``, ``guest_cpus`` (those that the site's pinned guests get),
    ``guest_cpus_near_pmd`` (of these, those that share an L3 cache with a PMD thread), ``l3_shared_with_host``
    (dedicated CPUs whose L3 cache the host's pool shares), ``idle_cpus``.
    """

    name: str
    chosen: bool
    pools: Pools
    gains: tuple[str, ...]
    costs: tuple[str, ...]
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reason:
    """A choice with its reason: ``pool pmd``, ``1,7``, ``one core is enough below 16 cores …``."""

    topic: str
    choice: str
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a host, with its reasons.

    ``name`` is the alternative that was chosen. ``isolated``: the CPUs to isolate from the scheduler by
    ``kernel_args``, which need a reboot; ``up`` does not set them. ``nova`` is section → option → value.
    """

    schema: int
    name: str
    pools: Pools
    isolated: tuple[int, ...]
    overlapped: bool
    hugepages: tuple[HugepageNeed, ...]
    kernel_args: tuple[str, ...]
    ovs_other_config: Mapping[str, str]
    nova: Mapping[str, Mapping[str, NovaValue]]
    nics: tuple[NicPlan, ...]
    guests: tuple[GuestPlan, ...]
    alternatives: tuple[Alternative, ...]
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT

    @property
    def switch_pages(self) -> HugepageNeed:
        """The hugepages of the node with most of OVS-DPDK's packet buffers (``dpdk-socket-mem``, MiB by node)."""
        by_node = [int(mib) for mib in self.ovs_other_config["dpdk-socket-mem"].split(",")]
        return next(need for need in self.hugepages if need.node == by_node.index(max(by_node)))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON; findings without their empty members."""
        return {**to_plain(self), "findings": [finding.to_json() for finding in self.findings]}


@dataclass(slots=True)
class Notes:
    """Collects reasons and findings while a plan is made."""

    reasons: list[Reason] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def because(self, topic: str, choice: str, because: str) -> None:
        """Note why something was chosen."""
        self.reasons.append(Reason(topic, choice, because))

    def find(self, finding: Finding) -> None:
        """Note a finding."""
        self.findings.append(finding)

    @property
    def errors(self) -> list[Finding]:
        """The findings that make the plan impossible."""
        return [finding for finding in self.findings if finding.severity is Severity.ERROR]

    def stop_on_errors(self) -> None:
        """Raise :class:`~ouchi.core.errors.BadInput` with all errors, if there are any."""
        if errors := self.errors:
            raise BadInput(errors)

    def take(self, others: Notes) -> None:
        """Add all that others have noted."""
        self.reasons += others.reasons
        self.findings += others.findings


def mask(cpus: Iterable[int]) -> str:
    """CPUs as the hexadecimal mask that OVS reads: (1, 7) → ``0x82``."""
    return hex(sum(1 << cpu for cpu in set(cpus)))


def cpus_text(cpus: Iterable[int]) -> str:
    """CPUs as text for people and for nova: ``0,2-5``; ``none`` when there are none."""
    return format_cpus(cpus) or "none"


def counted(number: int, noun: str) -> str:
    """``1 core``, ``2 cores``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
