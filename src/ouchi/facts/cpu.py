"""The CPUs of a host: cores, siblings, packages, nodes and shared L3 caches, from sysfs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ouchi.facts.reading import cpus_of, names_in, plain, text_of, whole
from ouchi.machine import Reader

ROOT = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"

_CPU = re.compile(r"cpu([0-9]{1,4})")
_NODE = re.compile(r"node([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class Cpu:
    """One logical CPU.

    ``core`` and ``package`` are the kernel's numbers (-1: it does not say, as for a CPU that is offline).
    ``l3`` is the smallest CPU number of the group that shares its L3 cache, -1 without one. ``siblings`` are
    the CPUs of the same physical core, itself included. ``max_khz`` is 0 when the kernel does not say.
    """

    id: int
    core: int
    package: int
    node: int
    l3: int
    siblings: tuple[int, ...]
    max_khz: int
    online: bool

    def to_json(self) -> dict[str, Any]:
        """The CPU as a JSON object."""
        return dict(plain(self))


@dataclass(frozen=True, slots=True)
class Core:
    """One physical core: its online CPUs, ascending, and where they are."""

    cpus: tuple[int, ...]
    node: int
    l3: int

    @property
    def id(self) -> int:
        """The smallest CPU number, by which the core is named."""
        return self.cpus[0]


def read_cpus(reader: Reader) -> tuple[Cpu, ...]:
    """Every CPU that is present, by number."""
    present = _present(reader)
    online = _online(reader, present)
    node_of = _nodes(reader)
    l3_of: dict[int, int] = {}
    cpus = []
    for cpu in present:
        folder = f"{ROOT}/cpu{cpu}"
        if cpu in online and cpu not in l3_of:
            group = _l3_group(reader, folder)
            l3_of |= dict.fromkeys(group, min(group, default=-1))
        siblings = cpus_of(
            text_of(reader, f"{folder}/topology/core_cpus_list")
            or text_of(reader, f"{folder}/topology/thread_siblings_list")
        )
        cpus.append(
            Cpu(
                id=cpu,
                core=whole(text_of(reader, f"{folder}/topology/core_id"), -1),
                package=whole(text_of(reader, f"{folder}/topology/physical_package_id"), -1),
                node=node_of.get(cpu, 0),
                l3=l3_of.get(cpu, -1),
                siblings=tuple(sorted({cpu, *siblings})),
                max_khz=max(0, whole(text_of(reader, f"{folder}/cpufreq/cpuinfo_max_freq"), 0)),
                online=cpu in online,
            )
        )
    return tuple(cpus)


def physical_cores(cpus: Iterable[Cpu]) -> tuple[Core, ...]:
    """The physical cores of the online CPUs, by smallest CPU number.

    CPUs that call each other siblings, directly or through others, make one core: that also holds together
    what an odd kernel or a damaged snapshot says one-sidedly.
    """
    online = {cpu.id: cpu for cpu in cpus if cpu.online}
    leader = {cpu: cpu for cpu in online}

    def lead(cpu: int) -> int:
        while leader[cpu] != cpu:
            leader[cpu] = leader[leader[cpu]]
            cpu = leader[cpu]
        return cpu

    for cpu in online.values():
        for sibling in cpu.siblings:
            if sibling in online:
                low, high = sorted((lead(cpu.id), lead(sibling)))
                leader[high] = low
    members: dict[int, list[int]] = {}
    for number in sorted(online):
        members.setdefault(lead(number), []).append(number)
    return tuple(Core(tuple(core), online[core[0]].node, online[core[0]].l3) for core in members.values())


def _present(reader: Reader) -> tuple[int, ...]:
    folders = [int(match[1]) for name in names_in(reader, ROOT) if (match := _CPU.fullmatch(name))]
    # Without the folders (some sandboxes) the processor lines of cpuinfo still count them.
    listed = re.findall(r"^processor\s*:\s*([0-9]{1,4})\s*$", text_of(reader, "/proc/cpuinfo"), re.MULTILINE)
    return tuple(sorted(folders or {int(number) for number in listed} or {0}))


def _online(reader: Reader, present: tuple[int, ...]) -> frozenset[int]:
    listed = frozenset(cpus_of(text_of(reader, f"{ROOT}/online"))) & frozenset(present)
    if listed:
        return listed
    # CPU 0 often has no such file: what cannot be switched off is on.
    return frozenset(cpu for cpu in present if text_of(reader, f"{ROOT}/cpu{cpu}/online") != "0")


def _nodes(reader: Reader) -> dict[int, int]:
    """The NUMA node of each CPU; empty where the kernel shows no nodes."""
    found: dict[int, int] = {}
    for name in names_in(reader, NODES):
        if match := _NODE.fullmatch(name):
            found |= dict.fromkeys(cpus_of(text_of(reader, f"{NODES}/{name}/cpulist")), int(match[1]))
    return found


def _l3_group(reader: Reader, folder: str) -> tuple[int, ...]:
    cache = f"{folder}/cache"
    # index3 is the L3 on nearly every machine: look there first and list the folder only when it is not.
    for index in ["index3", *names_in(reader, cache)]:
        if text_of(reader, f"{cache}/{index}/level") == "3":
            return cpus_of(text_of(reader, f"{cache}/{index}/shared_cpu_list"))
    return ()
