"""What a plan is made of. Every value is frozen and has one JSON form, version 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ouchi.cpulist import format_cpus
from ouchi.errors import Finding
from ouchi.facts.reading import plain

SCHEMA = 1

NovaValue = str | tuple[str, ...]
"""One value, or several for an option that is written once for each."""


@dataclass(frozen=True, slots=True)
class Pools:
    """Who has which CPUs (numbers, ascending).

    ``host``: Linux and OpenStack. ``pmd``: OVS-DPDK's polling threads. ``dedicated``: pinned vCPUs, one each.
    ``shared``: unpinned vCPUs and emulator threads; as a rule the same as ``host``.
    """

    host: tuple[int, ...]
    pmd: tuple[int, ...]
    dedicated: tuple[int, ...]
    shared: tuple[int, ...]

    @property
    def overlapped(self) -> bool:
        """True when polling threads share CPUs with the host or with guests."""
        return bool(set(self.pmd) & ({*self.host, *self.shared, *self.dedicated}))

    def to_json(self) -> dict[str, list[int]]:
        """The pools as lists of CPU numbers."""
        return dict(plain(self))


@dataclass(frozen=True, slots=True)
class HugepageNeed:
    """Hugepages that ouchi needs on a node: ``count`` pages of ``size_kib``."""

    node: int
    size_kib: int
    count: int


@dataclass(frozen=True, slots=True)
class NicPlan:
    """A network card that OVS-DPDK takes over: its kernel name, PCI address, NUMA node and physical network."""

    name: str
    address: str
    node: int
    physnet: str
    role: str = "ovs-dpdk"


@dataclass(frozen=True, slots=True)
class GuestPlan:
    """A server of the site: whether its vCPUs are pinned, why, and the NUMA node it is planned on."""

    name: str
    vcpus: int
    memory_mib: int
    pinned: bool
    node: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was chosen: ``pool pmd``, ``1,7``, ``one core is enough below 16 cores …``."""

    topic: str
    choice: str
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a host should be, and why.

    ``isolated`` is empty: nothing here needs a reboot. ``nova`` is section → option → value.
    """

    schema: int
    pools: Pools
    isolated: tuple[int, ...]
    overlapped: bool
    hugepages: tuple[HugepageNeed, ...]
    ovs_other_config: Mapping[str, str]
    nova: Mapping[str, Mapping[str, NovaValue]]
    nics: tuple[NicPlan, ...]
    guests: tuple[GuestPlan, ...]
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON: CPU lists as numbers, the PMD mask in hexadecimal."""
        return {
            "schema": self.schema,
            "pools": self.pools.to_json(),
            "isolated": list(self.isolated),
            "masks": {"pmd": mask(self.pools.pmd)},
            "overlapped": self.overlapped,
            "hugepages": plain(self.hugepages),
            "kernel_args": [],
            "ovs": {"other_config": dict(self.ovs_other_config)},
            "nova": plain(self.nova),
            "nics": plain(self.nics),
            "guests": plain(self.guests),
            "reasons": plain(self.reasons),
            "findings": [finding.to_json() for finding in self.findings],
        }


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


def mask(cpus: Iterable[int]) -> str:
    """CPUs as the hexadecimal mask that OVS reads: (1, 7) → ``0x82``."""
    return hex(sum(1 << cpu for cpu in set(cpus)))


def cpus_text(cpus: Iterable[int]) -> str:
    """CPUs as text for people and for nova: ``0,2-5``; ``none`` when there are none."""
    return format_cpus(cpus) or "none"


def counted(number: int, noun: str) -> str:
    """``1 core``, ``2 cores``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
