"""What a picture of a host says: who is inside whom, which pool each CPU is in, which NIC hangs where. No geometry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ouchi.core.cpulist import format_cpus
from ouchi.facts import Core, Cpu, Facts, physical_cores
from ouchi.plan.values import Plan
from ouchi.report.picture.cards import Card, cards_of
from ouchi.report.picture.threads import LETTERS, Thread, pinned_guests, threads_of
from ouchi.report.picture.words import clean, counted, size

_KINDS = {"performance": "P-cores", "efficient": "E-cores", "": ""}
_CLUSTER = range(2, 9)  # cores that share an L2 cache are drawn together; more of them are a hypervisor's invention


@dataclass(frozen=True, slots=True)
class DrawnCore:
    """A physical core and its kind (``performance``, ``efficient`` or empty)."""

    threads: tuple[Thread, ...]
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
    """A socket or a NUMA node: what it has inside, and the NICs that hang on it."""

    label: str
    frames: tuple[Frame, ...]
    groups: tuple[Group, ...]
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the legend: the swatch (``cpu``, ``note``, ``core``, ``chip``), its look, its letters, the words."""

    swatch: str
    look: str
    short: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """The whole picture in words.

    ``subtitle``: lines of phrases. ``offline``: CPUs of which the kernel does not say where they are.
    """

    title: str
    subtitle: tuple[tuple[str, ...], ...]
    threads: tuple[Thread, ...]
    frames: tuple[Frame, ...]
    offline: tuple[Thread, ...]
    legend: tuple[tuple[Entry, ...], ...]
    description: str


def content_of(facts: Facts, plan: Plan | None) -> Content:
    """Everything that is drawn of a host, with its plan or without."""
    threads = threads_of(facts, plan)
    cores = physical_cores(facts.cpus)
    members, lost = _members(facts.cpus, cores)
    cards = cards_of(facts, plan)
    return Content(
        title=clean(facts.system.hostname) or "a host without a name",
        subtitle=(tuple(_summary(facts, cores)), *([tuple(_promise(plan))] if plan else [])),
        threads=tuple(threads.values()),
        frames=_frames(facts, cores, {core: [threads[cpu] for cpu in cpus] for core, cpus in members.items()}, cards),
        offline=tuple(threads[cpu] for cpu in lost),
        legend=_legend(facts, plan, threads.values(), cards),
        description=_description(facts, cores, plan, cards),
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
    facts: Facts, cores: Sequence[Core], members: Mapping[Core, Sequence[Thread]], cards: Sequence[Card]
) -> tuple[Frame, ...]:
    """Sockets with their NUMA nodes; nodes with their sockets where a node spans several, as in many guests."""
    of_node: dict[int, set[int]] = {}
    for core in cores:
        of_node.setdefault(core.node, set()).add(core.package)
    node_outside = any(len(packages) > 1 for packages in of_node.values())
    empty = ({node.node for node in facts.memory} | {card.node for card in cards}) - of_node.keys()
    names = _node_names(facts)

    def outer(core: Core) -> int:
        return core.node if node_outside else core.package

    def inner(core: Core) -> int:
        return core.package if node_outside else core.node

    def on(node: int) -> tuple[Card, ...]:
        return tuple(card for card in cards if card.node == node)

    frames = []
    for number, inside in groupby(sorted(cores, key=lambda core: (outer(core), inner(core), core.id)), key=outer):
        parts = {place: tuple(part) for place, part in groupby(inside, key=inner)}
        label = names.get(number, f"NUMA node {number}") if node_outside else _socket(number)
        if len(parts) == 1:
            ((place, part),) = parts.items()
            node = number if node_outside else place
            label = " · ".join(filter(None, (_socket(part[0].package), names.get(node, f"NUMA node {node}"))))
            frames.append(Frame(label, (), _groups(facts, part, members), on(node)))
            continue
        within = (
            Frame(
                _socket(place) if node_outside else names.get(place, f"NUMA node {place}"),
                (),
                _groups(facts, part, members),
                () if node_outside else on(place),
            )
            for place, part in parts.items()
        )
        frames.append(Frame(label, tuple(within), (), on(number) if node_outside else ()))
    bare = (Frame(f"{names.get(node, f'NUMA node {node}')} · no CPU", (), (), on(node)) for node in sorted(empty))
    return (*frames, *bare)


def _node_names(facts: Facts) -> dict[int, str]:
    return {node.node: f"NUMA node {node.node} · {size(node.total_kib)}" for node in facts.memory if node.total_kib}


def _socket(number: int) -> str:
    return f"Socket {number}" if number >= 0 else ""


def _groups(facts: Facts, cores: Sequence[Core], members: Mapping[Core, Sequence[Thread]]) -> tuple[Group, ...]:
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


def _sections(cores: Sequence[Core], hybrid: bool, members: Mapping[Core, Sequence[Thread]]) -> tuple[Section, ...]:
    found = []
    for kind, name in _KINDS.items():
        of_kind = [core for core in cores if core.kind == kind]
        if of_kind:
            fastest = max(core.max_khz for core in of_kind)
            label = name + (f" · {fastest / 1e6:.1f} GHz" if fastest else "") if hybrid else ""
            found.append(Section(label, tuple(_clusters(of_kind, members))))
    return tuple(found)


def _clusters(cores: Sequence[Core], members: Mapping[Core, Sequence[Thread]]) -> Iterable[tuple[DrawnCore, ...]]:
    sharing: dict[int, list[Core]] = {}
    for core in cores:
        sharing.setdefault(core.l2 if core.l2 >= 0 else -2 - core.id, []).append(core)
    for cluster in sharing.values():
        drawn = tuple(DrawnCore(tuple(members[core]), core.kind) for core in cluster)
        yield from [drawn] if len(drawn) in _CLUSTER else ((core,) for core in drawn)


def _summary(facts: Facts, cores: Sequence[Core]) -> list[str]:
    online = sum(cpu.online for cpu in facts.cpus)
    said = [clean(facts.processor.model), counted(len(cores), "core"), counted(online, "CPU")]
    said.append(size(sum(node.total_kib for node in facts.memory)))
    fastest = max((core.max_khz for core in cores), default=0)
    said += [f"up to {fastest / 1e6:.1f} GHz"] if fastest else []
    return [words for words in said if words]


def _promise(plan: Plan) -> list[str]:
    """What the plan makes of the host, in a few phrases."""
    said = [f"plan {clean(plan.name)}"] if plan.name else []
    said.append(f"OVS-DPDK polls on {format_cpus(plan.pools.pmd) or 'no CPU'}")
    said.append(f"{counted(len(plan.pools.dedicated), 'CPU')} for pinned guests")
    pages = [f"{need.count} × {size(need.size_kib)} on node {need.node}" for need in plan.hugepages if need.count]
    said += [f"hugepages {', '.join(pages)}"] if pages else []
    return said + ["overlapped"] * plan.overlapped


def _legend(
    facts: Facts, plan: Plan | None, threads: Iterable[Thread], cards: Sequence[Card]
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
    if any(card.queues for card in cards):
        marks.append(Entry("chip", "", "q0→1", "a receive queue and the CPU that polls it"))
    if any(not queue.near for card in cards for queue in card.queues):
        marks.append(Entry("chip", "far", "q0→1!", "polled from another NUMA node"))
    return tuple(tuple(row) for row in (*rows, marks) if row)


def _description(facts: Facts, cores: Sequence[Core], plan: Plan | None, cards: Sequence[Card]) -> str:
    """The picture for those who hear it."""
    said = [f"{', '.join(_summary(facts, cores))}."]
    if plan:
        said.append(f"{', '.join(_promise(plan))}.")
        pools = (f"{pool} {format_cpus(getattr(plan.pools, pool)) or 'none'}" for pool in LETTERS)
        said.append(f"CPUs by pool: {'; '.join(pools)}.")
        said += [
            f"Guest {clean(guest.name)} {'pinned to' if guest.pinned else 'on the shared'} CPUs {format_cpus(guest.cpus)}."
            for guest in plan.guests
        ]
    said += [f"L3 group: CPUs {format_cpus(group.cpus)}, {size(group.size_kib)}." for group in facts.l3]
    said += [f"NIC {card.says}." for card in cards]
    off = format_cpus(cpu.id for cpu in facts.cpus if not cpu.online)
    return " ".join([*said, f"Offline: CPUs {off}."] if off else said)
