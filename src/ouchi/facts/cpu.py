"""The CPUs of a host: cores, siblings, shared caches, packages, nodes and kinds, from sysfs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ouchi.core.cpulist import HIGHEST_CPU
from ouchi.facts.reading import cpus_of, names_in, text_of, whole
from ouchi.machine import Reader

ROOT = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"

PERFORMANCE = "performance"
EFFICIENT = "efficient"
ALIKE = 0.8
"""Cores that reach this share of the strongest one's speed are of its kind: the dies of an X3D processor and the
favoured cores of any other differ by a few per cent, AMD's dense cores and arm64's little ones by a quarter and more."""

MOST_SIBLINGS = 8
"""Threads of one core at most (POWER has eight); a longer list is not believed."""

_CPU = re.compile(r"cpu([0-9]{1,4})")
_NODE = re.compile(r"node([0-9]{1,4})")
_SIZE = re.compile(r"([0-9]{1,9})([KM])")
_AMD = re.compile(r"^vendor_id\s*:\s*AuthenticAMD$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cpu:
    """One logical CPU.

    ``core`` and ``package`` are the kernel's numbers (-1: it does not say, as for a CPU that is offline). ``l2``
    and ``l3`` are the smallest online CPU of the group that shares the cache, -1 without one. ``siblings`` are the
    CPUs of the same physical core, itself included. ``kind`` is ``performance`` or ``efficient``, empty where all
    cores are alike. ``max_khz`` is 0 and ``governor`` empty when the kernel does not say. ``isolated``: the
    scheduler leaves it alone since boot (``isolcpus=``).
    """

    id: int
    core: int
    package: int
    node: int
    l2: int
    l3: int
    siblings: tuple[int, ...]
    kind: str
    max_khz: int
    governor: str
    isolated: bool
    online: bool


@dataclass(frozen=True, slots=True)
class L3Group:
    """The online CPUs that share one L3 cache, ascending, and its size in KiB (0: not said)."""

    cpus: tuple[int, ...]
    size_kib: int


@dataclass(frozen=True, slots=True)
class Core:
    """One physical core: its online CPUs, ascending, where they are, and what they are (as :class:`Cpu` says it)."""

    cpus: tuple[int, ...]
    node: int
    l3: int
    package: int
    l2: int
    kind: str
    max_khz: int

    @property
    def id(self) -> int:
        """The smallest CPU number, by which the core is named."""
        return self.cpus[0]

    @property
    def last_cache(self) -> int:
        """The smallest online CPU of the group that shares its last level of cache: L3, else L2; -1 without either."""
        return self.l3 if self.l3 >= 0 else self.l2


def read_cpus(reader: Reader, cpuinfo: str) -> tuple[Cpu, ...]:
    """Every CPU that is present, by number. ``cpuinfo`` is the text of ``/proc/cpuinfo``."""
    present = _present(reader, cpuinfo)
    online = _online(reader, present)
    isolated = frozenset(cpus_of(text_of(reader, f"{ROOT}/isolated")))
    node_of = _nodes(reader)
    l2_of = _sharing(reader, online, 2)
    l3_of = _sharing(reader, online, 3)
    silicon_of = _silicon(reader, online)
    khz_of = {cpu: silicon.max_khz for cpu, silicon in silicon_of.items()}
    kind_of = _kinds(reader, online, khz_of if _AMD.search(cpuinfo, 0, 4096) else {})
    return tuple(
        Cpu(
            id=cpu,
            core=silicon.core,
            package=silicon.package,
            node=node_of.get(cpu, 0),
            l2=l2_of.get(cpu, -1),
            l3=l3_of.get(cpu, -1),
            siblings=silicon.cpus,
            kind=kind_of.get(cpu, ""),
            max_khz=silicon.max_khz,
            governor=_of_policy(reader, cpu, "scaling_governor") if silicon.max_khz else "",
            isolated=cpu in isolated,
            online=cpu in online,
        )
        for cpu in present
        for silicon in [silicon_of.get(cpu) or _Silicon((cpu,), -1, -1, 0)]
    )


class _Silicon(NamedTuple):
    """What the CPUs of one physical core have in common, in the terms of :class:`Cpu`."""

    cpus: tuple[int, ...]
    core: int
    package: int
    max_khz: int


def _silicon(reader: Reader, online: frozenset[int]) -> dict[int, _Silicon]:
    """The physical core of each online CPU, read where its first CPU tells it: a big host has thousands of files.

    A CPU belongs to the first core that names it, so that cores are disjoint whatever the files say.
    """
    found: dict[int, _Silicon] = {}
    for cpu in sorted(online):
        if cpu not in found:
            topology = f"{ROOT}/cpu{cpu}/topology"
            core = _Silicon(
                cpus=tuple(other for other in _siblings(reader, cpu) if other in online and other not in found),
                core=whole(text_of(reader, f"{topology}/core_id"), -1),
                package=whole(text_of(reader, f"{topology}/physical_package_id"), -1),
                max_khz=max(0, whole(_of_policy(reader, cpu, "cpuinfo_max_freq"), 0)),
            )
            found |= dict.fromkeys(core.cpus, core)
    return found


def _of_policy(reader: Reader, cpu: int, name: str) -> str:
    """What the frequency policy of a CPU says; empty when the kernel does not scale it."""
    # The policy's own folder, most often named for the CPU, first: the other way is a link to it.
    return text_of(reader, f"{ROOT}/cpufreq/policy{cpu}/{name}") or text_of(reader, f"{ROOT}/cpu{cpu}/cpufreq/{name}")


def read_l3(reader: Reader, cpus: Iterable[Cpu]) -> tuple[L3Group, ...]:
    """The groups of CPUs that share an L3 cache, by smallest CPU."""
    members: dict[int, list[int]] = {}
    for cpu in cpus:
        if cpu.l3 >= 0:
            members.setdefault(cpu.l3, []).append(cpu.id)
    return tuple(
        L3Group(tuple(group), _kib(text_of(reader, f"{_cache(reader, first, 3)}/size")))
        for first, group in sorted(members.items())
    )


def physical_cores(cpus: Iterable[Cpu]) -> tuple[Core, ...]:
    """The physical cores of the online CPUs, by smallest CPU number."""
    members: dict[tuple[int, ...], list[Cpu]] = {}
    for cpu in cpus:
        if cpu.online:
            members.setdefault(cpu.siblings, []).append(cpu)
    return tuple(
        Core(
            cpus=tuple(cpu.id for cpu in threads),
            node=threads[0].node,
            l3=threads[0].l3,
            package=threads[0].package,
            l2=threads[0].l2,
            kind=threads[0].kind,
            max_khz=max(cpu.max_khz for cpu in threads),
        )
        for threads in members.values()
    )


def _present(reader: Reader, cpuinfo: str) -> tuple[int, ...]:
    folders = [int(match[1]) for name in names_in(reader, ROOT) if (match := _CPU.fullmatch(name))]
    # Without the folders (some sandboxes) the processor lines of cpuinfo still count them.
    found = folders or [int(cpu) for cpu in re.findall(r"^processor\s*:\s*([0-9]{1,4})\s*$", cpuinfo, re.MULTILINE)]
    return tuple(sorted({cpu for cpu in found if cpu <= HIGHEST_CPU} or {0}))


def _online(reader: Reader, present: tuple[int, ...]) -> frozenset[int]:
    listed = frozenset(cpus_of(text_of(reader, f"{ROOT}/online"))) & frozenset(present)
    if listed:
        return listed
    # CPU 0 often has no such file: what cannot be switched off is on.
    on = frozenset(cpu for cpu in present if text_of(reader, f"{ROOT}/cpu{cpu}/online") != "0")
    return on or frozenset(present[:1])  # something ran to write these files


def _nodes(reader: Reader) -> dict[int, int]:
    """The NUMA node of each CPU; empty where the kernel shows no nodes."""
    found: dict[int, int] = {}
    for name in names_in(reader, NODES):
        if match := _NODE.fullmatch(name):
            found |= dict.fromkeys(cpus_of(text_of(reader, f"{NODES}/{name}/cpulist")), int(match[1]))
    return found


def _siblings(reader: Reader, cpu: int) -> tuple[int, ...]:
    folder = f"{ROOT}/cpu{cpu}/topology"
    text = text_of(reader, f"{folder}/core_cpus_list") or text_of(reader, f"{folder}/thread_siblings_list")
    siblings = {cpu, *cpus_of(text)}
    return tuple(sorted(siblings)) if len(siblings) <= MOST_SIBLINGS else (cpu,)


def _sharing(reader: Reader, online: frozenset[int], level: int) -> dict[int, int]:
    """For each CPU that has a cache of a level, the smallest online CPU it shares it with.

    A CPU belongs to the first group that names it, so that the groups are disjoint whatever the files say.
    """
    found: dict[int, int] = {}
    for cpu in sorted(online):
        if cpu not in found:
            shared = cpus_of(text_of(reader, f"{_cache(reader, cpu, level)}/shared_cpu_list"))
            members = [member for member in {cpu, *shared} if member in online and member not in found]
            if shared:
                found |= dict.fromkeys(members, min(members))
    return found


def _cache(reader: Reader, cpu: int, level: int) -> str:
    """The folder of a CPU's cache of a level; one that does not exist when it has none."""
    folder = f"{ROOT}/cpu{cpu}/cache"
    # The number is the level on nearly every machine: look there first and list the folder only when it is not.
    usual = f"{folder}/index{level}"
    if text_of(reader, f"{usual}/level") == str(level):
        return usual
    others = (f"{folder}/{name}" for name in names_in(reader, folder) if name.startswith("index"))
    return next((other for other in others if text_of(reader, f"{other}/level") == str(level)), f"{folder}/none")


def _kinds(reader: Reader, online: frozenset[int], khz_of: Mapping[int, int]) -> dict[int, str]:
    """The kind of each online CPU; empty where all are alike.

    Intel's kernel support names the kinds; arm64 gives each CPU a capacity; AMD's dense cores show only in their
    highest frequency (``khz_of``, empty on other processors).
    """
    named = {
        kind: online & frozenset(cpu for unit in units for cpu in cpus_of(text_of(reader, f"/sys/devices/{unit}/cpus")))
        for kind, units in ((PERFORMANCE, ("cpu_core",)), (EFFICIENT, ("cpu_atom", "cpu_lowpower")))
    }
    if all(named.values()):
        return {cpu: kind for kind, cpus in named.items() for cpu in cpus}
    strength = _capacities(reader, online) or {cpu: khz_of.get(cpu, 0) for cpu in online}
    enough = ALIKE * max(strength.values())
    weak = {cpu for cpu in online if strength[cpu] < enough}
    if not weak or not all(strength.values()):
        return {}
    return {cpu: EFFICIENT if cpu in weak else PERFORMANCE for cpu in online}


def _capacities(reader: Reader, online: frozenset[int]) -> dict[int, int]:
    """The kernel's measure of each CPU's strength, 1024 for the strongest; empty where it has none (x86)."""
    if not reader.exists(f"{ROOT}/cpu{min(online)}/cpu_capacity"):
        return {}
    return {cpu: max(0, whole(text_of(reader, f"{ROOT}/cpu{cpu}/cpu_capacity"), 0)) for cpu in online}


def _kib(size: str) -> int:
    """A cache size as the kernel writes it: ``32768K``."""
    match = _SIZE.fullmatch(size)
    return int(match[1]) * (1024 if match[2] == "M" else 1) if match else 0
