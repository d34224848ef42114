"""The content of a picture: sockets, NUMA nodes, caches, cores and NICs, each inside the other. No geometry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ouchi.core.cpulist import format_cpus
from ouchi.facts import Core, Cpu, Facts, physical_cores
from ouchi.plan.values import Plan, counted
from ouchi.report.picture.cpus import LETTERS, DrawnCpu, drawn_cpus, pinned_guests
from ouchi.report.picture.nics import DrawnNic, drawn_nics
from ouchi.report.text import clean, size

_KINDS = {"performance": "P-cores", "efficient": "E-cores", "": ""}
_CLUSTER = range(2, 9)  # cores that share an L2 cache are drawn together; more of them only a hypervisor reports


@dataclass(frozen=True, slots=True)
class DrawnCore:
    """A physical core and its kind (``performance``, ``efficient`` or empty)."""

    threads: tuple[DrawnCpu, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Section:
    """Cores of one kind in one L3 group, in clusters: those that share an L2 cache, or single ones."""

    label: str
    clusters: tuple[tuple[DrawnCore, ...], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The cores of one L3 cache, as far as they are in the same frame."""

    label: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """A socket or a NUMA node: what it has inside, and the NICs on it."""

    label: str
    frames: tuple[Frame, ...]
    groups: tuple[Group, ...]
    nics: tuple[DrawnNic, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the legend: the swatch (``cpu``, ``note``, ``core``, ``chip``), its look, its letters, the words."""

    swatch: str
    look: str
    short: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that a picture shows.

    ``subtitle``: lines of phrases. ``offline``: CPUs whose core the kernel does not report.
    """

    title: str
    subtitle: tuple[tuple[str, ...], ...]
    threads: tuple[DrawnCpu, ...]
    frames: tuple[Frame, ...]
    offline: tuple[DrawnCpu, ...]
    legend: tuple[tuple[Entry, ...], ...]
    description: str


def content_of(facts: Facts, plan: Plan | None) -> Content:
    """Everything that is drawn of a host, with its plan or without."""
    threads = drawn_cpus(facts, plan)
    cores = physical_cores(facts.cpus)
    members, lost = _members(facts.cpus, cores)
    nics = drawn_nics(facts, plan)
    return Content(
        title=clean(facts.system.hostname) or "a host without a name",
        subtitle=(tuple(_summary(facts, cores)), *([tuple(_plan_phrases(plan))] if plan else [])),
        threads=tuple(threads.values()),
        frames=_frames(facts, cores, {core: [threads[cpu] for cpu in cpus] for core, cpus in members.items()}, nics),
        offline=tuple(threads[cpu] for cpu in lost),
        legend=_legend(facts, plan, threads.values(), nics),
        description=_description(facts, cores, plan, nics),
    )


def _members(cpus: Iterable[Cpu], cores: Iterable[Core]) -> tuple[dict[Core, list[int]], list[int]]:
    """The CPUs of each core, those that are offline with the core that the kernel still names; and the rest."""
    cpus = tuple(cpus)
    members = {core: list(core.cpus) for core in cores}
    of_cpu = {cpu: core for core in members for cpu in core.cpus}
    named = {(cpu.package, cpu.core): of_cpu[cpu.id] for cpu in cpus if cpu.online and min(cpu.package, cpu.core) >= 0}
    lost: list[int] = []
    for cpu in cpus:
        if not cpu.online:
            sibling = next((of_cpu[other] for other in cpu.siblings if other in of_cpu), None)
            core = sibling or named.get((cpu.package, cpu.core))
            (members[core] if core else lost).append(cpu.id)
    return members, lost


def _frames(
    facts: Facts, cores: Sequence[Core], members: Mapping[Core, Sequence[DrawnCpu]], nics: Sequence[DrawnNic]
) -> tuple[Frame, ...]:
    """Sockets with their NUMA nodes; nodes with their sockets where a node spans several, as in many guests."""
    of_node: dict[int, set[int]] = {}
    for core in cores:
        of_node.setdefault(core.node, set()).add(core.package)
    node_outside = any(len(packages) > 1 for packages in of_node.values())
    empty = ({node.node for node in facts.memory} | {nic.node for nic in nics}) - of_node.keys()
    names = {node.node: f"NUMA node {node.node} · {size(node.total_kib)}" for node in facts.memory if node.total_kib}

    def outer(core: Core) -> int:
        return core.node if node_outside else core.package

    def inner(core: Core) -> int:
        return core.package if node_outside else core.node

    def on(node: int) -> tuple[DrawnNic, ...]:
        return tuple(nic for nic in nics if nic.node == node)

    frames = []
    for number, inside in groupby(sorted(cores, key=lambda core: (outer(core), inner(core), core.id)), key=outer):
        split = {index: tuple(some) for index, some in groupby(inside, key=inner)}
        label = names.get(number, f"NUMA node {number}") if node_outside else _socket(number)
        if len(split) == 1:
            ((index, some),) = split.items()
            node = number if node_outside else index
            label = " · ".join(filter(None, (_socket(some[0].package), names.get(node, f"NUMA node {node}"))))
            frames.append(Frame(label, (), _groups(facts, some, members), on(node)))
            continue
        within = (
            Frame(
                _socket(index) if node_outside else names.get(index, f"NUMA node {index}"),
                (),
                _groups(facts, some, members),
                () if node_outside else on(index),
            )
            for index, some in split.items()
        )
        frames.append(Frame(label, tuple(within), (), on(number) if node_outside else ()))
    bare = (Frame(f"{names.get(node, f'NUMA node {node}')} · no CPU", (), (), on(node)) for node in sorted(empty))
    return (*frames, *bare)


def _socket(number: int) -> str:
    return f"Socket {number}" if number >= 0 else ""


def _groups(facts: Facts, cores: Sequence[Core], members: Mapping[Core, Sequence[DrawnCpu]]) -> tuple[Group, ...]:
    caches = {group.cpus[0]: group for group in facts.l3 if group.cpus}
    hybrid = any(cpu.kind for cpu in facts.cpus)
    inside = {cpu for core in cores for cpu in core.cpus}
    found = []
    for l3, group in groupby(sorted(cores, key=lambda core: (core.l3 < 0, core.l3, core.id)), key=lambda core: core.l3):
        cache = caches.get(l3)
        label = "no L3 cache seen" if l3 < 0 else "L3"
        label += f" · {size(cache.size_kib)}" if cache and cache.size_kib else ""
        label += " · spans NUMA nodes" if cache and not inside.issuperset(cache.cpus) else ""
        found.append(Group(label, _sections(tuple(group), hybrid, members)))
    return tuple(found)


def _sections(cores: Sequence[Core], hybrid: bool, members: Mapping[Core, Sequence[DrawnCpu]]) -> tuple[Section, ...]:
    found = []
    for kind, name in _KINDS.items():
        of_kind = [core for core in cores if core.kind == kind]
        if of_kind:
            fastest = max(core.max_khz for core in of_kind)
            label = name + (f" · {fastest / 1e6:.1f} GHz" if fastest else "") if hybrid else ""
            found.append(Section(label, tuple(_clusters(of_kind, members))))
    return tuple(found)


def _clusters(cores: Sequence[Core], members: Mapping[Core, Sequence[DrawnCpu]]) -> Iterable[tuple[DrawnCore, ...]]:
    sharing: dict[int, list[Core]] = {}
    for core in cores:
        sharing.setdefault(core.l2 if core.l2 >= 0 else -2 - core.id, []).append(core)
    for cluster in sharing.values():
        drawn = tuple(DrawnCore(tuple(members[core]), core.kind) for core in cluster)
        yield from [drawn] if len(drawn) in _CLUSTER else ((core,) for core in drawn)


def _summary(facts: Facts, cores: Sequence[Core]) -> list[str]:
    online = sum(cpu.online for cpu in facts.cpus)
    phrases = [clean(facts.processor.model), counted(len(cores), "core"), counted(online, "CPU")]
    memory = sum(node.total_kib for node in facts.memory)
    phrases += [size(memory)] if memory else []
    fastest = max((core.max_khz for core in cores), default=0)
    phrases += [f"up to {fastest / 1e6:.1f} GHz"] if fastest else []
    return [phrase for phrase in phrases if phrase]


def _plan_phrases(plan: Plan) -> list[str]:
    """The plan in a few phrases."""
    phrases = [f"plan {clean(plan.name)}"] if plan.name else []
    phrases.append(f"OVS-DPDK polls on {format_cpus(plan.pools.pmd) or 'no CPU'}")
    phrases.append(f"{counted(len(plan.pools.dedicated), 'CPU')} for pinned guests")
    pages = [f"{need.count} × {size(need.size_kib)} on node {need.node}" for need in plan.hugepages if need.count]
    phrases += [f"hugepages {', '.join(pages)}"] if pages else []
    return phrases + ["overlapped"] * plan.overlapped


def _legend(
    facts: Facts, plan: Plan | None, threads: Iterable[DrawnCpu], nics: Sequence[DrawnNic]
) -> tuple[tuple[Entry, ...], ...]:
    threads = tuple(threads)
    rows: list[list[Entry]] = []
    if plan:
        loose = ", ".join(clean(guest.name) for guest in plan.guests if not guest.pinned)
        does = {"host": "Linux, OpenStack", "pmd": "OVS-DPDK polls", "dedicated": "pinned guests"}
        does["shared"] = loose or "unpinned guests"
        rows.append(
            [
                Entry(
                    "cpu", pool, LETTERS[pool], f"{pool} {format_cpus(getattr(plan.pools, pool)) or '-'}: {does[pool]}"
                )
                for pool in LETTERS
            ]
        )
        rows.append(
            [
                Entry("note", note.look, note.short, f"{note.long} {format_cpus(guest.cpus)}")
                for note, guest in pinned_guests(plan)
            ]
        )
    now = {cpu.id for cpu in facts.cpus if cpu.isolated}
    later = any(thread.isolated and thread.cpu not in now for thread in threads)
    marks = [Entry("core", "", "[ ]", "a core, its threads side by side")]
    if any(core.kind == "efficient" for core in facts.cpus):
        marks.append(Entry("core", "efficient", "( )", "an E-core"))
    if any(thread.isolated for thread in threads):
        marks.append(Entry("cpu", "isolated", "*", "isolated from the scheduler" + (" (after a reboot)" * later)))
    if not all(thread.online for thread in threads):
        marks.append(Entry("cpu", "offline", "x", "offline"))
    if any(nic.queues for nic in nics):
        marks.append(Entry("chip", "", "q0→1", "an Rx queue and the CPU that polls it"))
    if any(not queue.near for nic in nics for queue in nic.queues):
        marks.append(Entry("chip", "far", "q0→1!", "polled from another NUMA node"))
    return tuple(tuple(row) for row in (*rows, marks) if row)


def _description(facts: Facts, cores: Sequence[Core], plan: Plan | None, nics: Sequence[DrawnNic]) -> str:
    """The picture as text, for screen readers."""
    phrases = [f"{', '.join(_summary(facts, cores))}."]
    if plan:
        phrases.append(f"{', '.join(_plan_phrases(plan))}.")
        pools = (f"{pool} {format_cpus(getattr(plan.pools, pool)) or 'none'}" for pool in LETTERS)
        phrases.append(f"CPUs by pool: {'; '.join(pools)}.")
        phrases += [
            f"Guest {clean(guest.name)} {'pinned to' if guest.pinned else 'on the shared'} CPUs {format_cpus(guest.cpus)}."
            for guest in plan.guests
        ]
    phrases += [f"L3 group: CPUs {format_cpus(group.cpus)}, {size(group.size_kib)}." for group in facts.l3]
    phrases += [f"NIC {nic.label}." for nic in nics]
    off = format_cpus(cpu.id for cpu in facts.cpus if not cpu.online)
    return " ".join([*phrases, f"Offline: CPUs {off}."] if off else phrases)
