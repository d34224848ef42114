"""The pools of CPUs: host, pmd, dedicated and shared.

Kept always: CPU 0 is the host's; pools are made of whole physical cores; they are disjoint (shared may be the
host's) and cover every online CPU. The CPUs of a NUMA node without memory are the host's, and one of a node that has
some is: ovs-vswitchd's main thread needs it. What the user's file says is obeyed and the rest chosen around it; only that can
leave a CPU idle or split a core, and then a finding says so. With fewer than three physical cores the PMD thread
overlaps the host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ouchi.core.errors import Finding, error, info, warning
from ouchi.facts import Core
from ouchi.plan.values import Notes, Pools, Style, counted, cpus_text
from ouchi.site import Cpus, Site

LARGE = 16  # cores from which the host and the PMD threads get two each
EFFICIENT = "efficient"
FEWEST = 3  # cores that host, PMD and guests need to have one each

OVERLAPPED = "overlapped: figures are not meaningful as performance"


def refused(site: Site, cores: Sequence[Core], memoryless: frozenset[int]) -> Iterator[Finding]:
    """The findings for pools of the site file that are impossible on this host.

    ``memoryless``: the NUMA nodes without memory (:func:`~ouchi.plan.nodes.memoryless_nodes`).
    """
    first = cores[0].id
    requested = site.cpus
    if requested.host is not None and first not in requested.host:
        yield _first_cpu(site, "host", first, f"a host pool with CPU {first}")
    if requested.dedicated is not None and first in requested.dedicated:
        yield _first_cpu(site, "dedicated", first, f"a dedicated pool without CPU {first}")
    if requested.pmd is not None and first in requested.pmd and len(cores) >= FEWEST:
        yield _first_cpu(site, "pmd", first, f"a pmd pool without CPU {first}")
    without = set(_cpus([core for core in cores if core.node in memoryless]))
    for pool, use in (("host", "Open vSwitch's main thread"), ("pmd", "a PMD thread"), ("dedicated", "a pinned guest")):
        cpus = getattr(requested, pool)
        if cpus and without.issuperset(cpus):
            yield error(
                f"the NUMA nodes of these CPUs have no memory, which {use} needs",
                where=site.where("cpus", pool),
                found=f"{pool}: {cpus_text(cpus)}",
                expected=f"a CPU out of {cpus_text(set(_cpus(cores)) - without)} in it",
            )
    free = [core for core in _untouched(requested, cores) if core is not cores[0]]
    if requested.pmd is None and len(cores) >= FEWEST and not free:
        yield error(
            "the pools leave no core for OVS-DPDK's PMD thread",
            where=site.where("cpus"),
            found=f"every one of {counted(len(cores), 'core')} is in a pool, in part at least",
            expected="one physical core in no pool, or a pmd pool",
            remedy="take a core out of dedicated, shared or host, or write down pmd",
        )


def choose_pools(
    site: Site,
    cores: Sequence[Core],
    *,
    nic_nodes: Sequence[int],
    memoryless: frozenset[int],
    style: Style,
    notes: Notes,
) -> Pools:
    """The pools of a machine with these physical cores.

    ``nic_nodes``: the NUMA nodes of the NICs, where the PMD threads go; empty: where CPU 0 is. ``memoryless``: the nodes
    without memory.
    """
    requested = site.cpus
    free = list(_untouched(requested, cores))
    polling = _polling_nodes(cores, nic_nodes, memoryless)
    host = requested.host
    if host is None:
        host = _host(requested, cores, free, style, notes)
        host = _with_nodes(cores, _without(free, host), host, polling, notes)
    free = _without(free, host)
    pmd = requested.pmd or _pmd(requested, cores, free, host, polling, style, notes)
    free = _without(free, pmd)
    if style is Style.CACHE and requested.host is None and requested.dedicated is None:
        host = _with_their_caches(cores, free, host, pmd, notes)
        free = _without(free, host)
    dedicated = requested.dedicated
    if dedicated is None:
        dedicated = _cpus(free)
        notes.because("pool dedicated", cpus_text(dedicated), _why_dedicated(cores, dedicated))
    elif requested.host is None and free:
        host = tuple(sorted({*host, *_cpus(free)}))
        notes.because("pool host", cpus_text(host), "also has the CPUs that the pools of the site file leave over")
    shared = requested.shared or host
    if requested.shared is None:
        notes.because("pool shared", cpus_text(shared), "the host's: emulator threads and unpinned vCPUs run there")
    for pool in ("host", "pmd", "dedicated", "shared"):
        if (given := getattr(requested, pool)) is not None:
            notes.because(f"pool {pool}", cpus_text(given), "set in the site file")
    pools = Pools(host, tuple(sorted(pmd)), dedicated, shared)
    notes.findings += (*_too_few_poll(site, cores, pools), *_pool_findings(site, cores, pools))
    return pools


@dataclass(frozen=True, slots=True)
class _Polling:
    """The NUMA nodes that PMD threads go to, and what is there; the nodes without memory, where none can be."""

    nodes: tuple[int, ...]
    why: str
    memoryless: frozenset[int]


def _polling_nodes(cores: Sequence[Core], nic_nodes: Sequence[int], memoryless: frozenset[int]) -> _Polling:
    """Where the NICs are, else where CPU 0 is; never a node without memory."""
    with_memory = [node for node in nic_nodes if node not in memoryless]
    if with_memory:
        return _Polling(tuple(with_memory), "the NICs are", memoryless)
    if cores[0].node not in memoryless:
        return _Polling((cores[0].node,), "CPU 0 is", memoryless)
    first = next(core.node for core in cores if core.node not in memoryless)
    return _Polling((first,), "there is memory", memoryless)


def _host(requested: Cpus, cores: Sequence[Core], free: list[Core], style: Style, notes: Notes) -> tuple[int, ...]:
    """The core of CPU 0, and on a large machine a second one: next to it, or an efficient one where there are any."""
    others = (
        {*(requested.pmd or ()), *(requested.dedicated or ())}
        if len(cores) >= FEWEST
        else {*(requested.dedicated or ())}
    )
    host = {cpu for cpu in cores[0].cpus if cpu not in others}
    why = f"CPU {cores[0].id} serves interrupts and timers that cannot move; the whole core goes with it"
    if style is Style.POWER and (cluster := _efficient_cluster(free)):
        host |= set(_cpus(cluster))
        why += f"; the efficient cores {cpus_text(_cpus(cluster))} carry emulator threads and services on few watts"
    elif len(cores) >= LARGE and len(free) > FEWEST:
        beside = [core for core in free if core is not cores[0] and core.node == cores[0].node]
        if len(beside) > 1:  # the last one is for polling, if the NIC is on this node
            weakest = _weakest(beside)
            host |= set(_cpus(weakest or beside[:1]))
            which = f"the weakest, {cpus_text(_cpus(weakest))}," if weakest else "a second one"
            why += f"; {which} because {counted(len(cores), 'core')} leave room for OpenStack's services"
    notes.because("pool host", cpus_text(host), why)
    return tuple(sorted(host))


def _with_nodes(
    cores: Sequence[Core],
    free: Sequence[Core],
    host: tuple[int, ...],
    polling: _Polling,
    notes: Notes,
) -> tuple[int, ...]:
    """The host's pool with the free cores of nodes without memory, and with one of a node that has some."""
    memoryless = polling.memoryless
    if not memoryless:
        return host
    more = [core for core in free if core.node in memoryless]
    why = f"also has all of NUMA node {cpus_text(memoryless)}: no memory there for guests or packet buffers"
    if not any(core.node not in memoryless and set(core.cpus) & set(host) for core in cores):
        candidates = [core for core in free if core.node not in memoryless]
        if main := next((core for core in candidates if core.node in polling.nodes), next(iter(candidates), None)):
            more.append(main)
            why += f"; and CPU {cpus_text(main.cpus)} for ovs-vswitchd's main thread, which needs some on its node"
    host = tuple(sorted({*host, *_cpus(more)}))
    notes.because("pool host", cpus_text(host), why)
    return host


def _weakest(candidates: list[Core]) -> list[Core]:
    """The first efficient core; where some are slower than the others, the first cluster of those. None without any."""
    efficient = [core for core in candidates if core.kind == EFFICIENT]
    slowest = [core for core in efficient if core.max_khz == min(core.max_khz for core in efficient)]
    if len(slowest) == len(efficient):
        return efficient[:1]
    return [core for core in slowest if core.last_cache == slowest[0].last_cache]


def _efficient_cluster(free: list[Core]) -> list[Core]:
    """The last cluster of efficient cores that share an L2 cache, when there are others; none on a uniform machine."""
    efficient = [core for core in free if core.kind == EFFICIENT]
    last = [core for core in efficient if core.l2 == efficient[-1].l2] if efficient else []
    return last if len(last) < len(efficient) else []


def _with_their_caches(
    cores: Sequence[Core], free: list[Core], host: tuple[int, ...], pmd: tuple[int, ...], notes: Notes
) -> tuple[int, ...]:
    """The host's pool with what is left of the L3 groups that it and the PMD threads are in."""
    groups = {core.l3 for core in cores if set(core.cpus) & {*host, *pmd}}
    left = _cpus([core for core in free if core.l3 in groups])
    if left:
        host = tuple(sorted({*host, *left}))
        notes.because(
            "pool host", cpus_text(host), "also has what is left of the L3 caches that guests are kept out of"
        )
    return host


def _pmd(
    requested: Cpus,
    cores: Sequence[Core],
    free: list[Core],
    host: tuple[int, ...],
    polling: _Polling,
    style: Style,
    notes: Notes,
) -> tuple[int, ...]:
    useful = [core for core in cores if core.node not in polling.memoryless]
    if len(cores) < FEWEST or not free:
        # The last thread of the host's core: with SMT the host keeps one thread that is not polled on.
        shared = next((core for core in useful if set(core.cpus) & set(host)), cores[0])
        chosen = max(set(shared.cpus) & set(host))
        aim = "so that guests can have the other core" if len(useful) > 1 else "and everything else"
        of = " on NUMA nodes with memory" if polling.memoryless else ""
        why = f"only {counted(len(useful), 'core')}{of}: the PMD thread overlaps the host {aim}"
        notes.because("pool pmd", str(chosen), why)
        return (chosen,)
    nodes, where = polling.nodes, polling.why
    count, why = _pmd_count(requested, cores, free, len(nodes), style)
    chosen_cores: list[Core] = []
    rest = free
    for turn in range(count):
        local = [core for core in rest if core.node == nodes[turn % len(nodes)]]
        candidates = _fast(local or rest)
        if style is Style.CACHE:
            chosen_cores.append(_beside(candidates, host, chosen_cores, cores))
        else:
            chosen_cores.append(_near_guests(candidates, rest, cores, requested.dedicated))
        rest = [core for core in rest if core is not chosen_cores[-1]]
    pmd = _cpus(chosen_cores)
    why += _why_there(cores, free, chosen_cores, where, requested.dedicated, style)
    notes.because("pool pmd", cpus_text(pmd), why)
    return pmd


def _pmd_count(requested: Cpus, cores: Sequence[Core], free: list[Core], nodes: int, style: Style) -> tuple[int, str]:
    """Return the number of polling cores, and the reason."""
    most = max(1, len(free) - (requested.dedicated is None))  # guests come first to the last core
    fast = len(_fast(cores))
    large = fast >= LARGE
    count = 2 if large and style is not Style.POWER else 1
    size = f"{LARGE} or more" if large else f"fewer than {LARGE}"
    kind = "cores" if fast == len(cores) else "performance cores"
    why = f"as the machine has {size} {kind} ({fast})"
    if style is Style.CACHE:
        count, why = 2 * count, f"twice the {count} of a machine of {size} {kind}, in a cache that no guest has"
    elif style is Style.POWER:
        why = "the fewest that there can be"
    if nodes > count:
        count, why = nodes, "one for each NUMA node with a NIC"
    if requested.pmd_cores is not None:
        count, why = requested.pmd_cores, "set in the site file"
    if count > most:
        why += f"; not {count}, because guests need one of the {counted(len(free), 'core')} that the host leaves"
    count = min(count, most)
    return count, f"{counted(count, 'whole core')}, {why}"


def _too_few_poll(site: Site, cores: Sequence[Core], pools: Pools) -> Iterator[Finding]:
    """Where the number of polling cores in the user's file cannot be had."""
    requested = site.cpus.pmd_cores or 0
    there = sum(not set(pools.pmd).isdisjoint(core.cpus) for core in cores)
    if requested > there:
        yield warning(
            "fewer cores poll than the site file says",
            where=site.where("cpus", "pmd_cores"),
            found=f"pmd_cores {requested} of {counted(len(cores), 'core')}",
            expected=f"at most {there}: the host keeps its core, and guests have the last one",
        )


def _fast(candidates: Sequence[Core]) -> list[Core]:
    """Without the efficient cores when there are others: polling is one thread's speed."""
    return [core for core in candidates if core.kind != EFFICIENT] or list(candidates)


def _beside(candidates: list[Core], host: tuple[int, ...], chosen: list[Core], cores: Sequence[Core]) -> Core:
    """The first core in an L3 group that is lost to guests already, the host's or that of a PMD thread."""
    taken = {core.l3 for core in cores if set(core.cpus) & set(host)} | {core.l3 for core in chosen}
    return min(candidates, key=lambda core: (core.l3 not in taken, core.id))


def _near_guests(
    candidates: list[Core], rest: list[Core], cores: Sequence[Core], dedicated: tuple[int, ...] | None
) -> Core:
    """The first core that leaves guests another in its last level of cache; the first of all where none does.

    That is in the host's group, as a rule: the other caches stay whole for guests.
    """
    guests = rest if dedicated is None else [core for core in cores if not set(dedicated).isdisjoint(core.cpus)]
    groups = Counter(core.last_cache for core in guests if core.last_cache >= 0)
    ids = {core.id for core in guests}
    return next((core for core in candidates if groups[core.last_cache] > (core.id in ids)), candidates[0])


def _why_there(
    cores: Sequence[Core],
    free: list[Core],
    chosen: list[Core],
    where: str,
    dedicated: tuple[int, ...] | None,
    style: Style,
) -> str:
    why = ""
    nodes = {core.node for core in chosen}
    if len({core.node for core in cores}) > 1:
        why += f"; on NUMA node {cpus_text(nodes)}, where {where}"
    if any(core.kind == EFFICIENT for core in cores) and all(core.kind != EFFICIENT for core in chosen):
        why += "; performance cores, because polling is one thread's speed"
    left = {cpu for core in free if core not in chosen for cpu in core.cpus} if dedicated is None else set(dedicated)
    groups = {core.last_cache for core in chosen if core.last_cache >= 0}
    near = sum(cpu in left for core in cores if core.last_cache in groups for cpu in core.cpus)
    if style is not Style.CACHE and near and any(core.last_cache not in groups for core in cores):
        level = "L2" if any(core.l3 < 0 for core in chosen) else "L3"
        why += f"; {near} of the {counted(len(left), 'CPU')} for guests are in the same {level} cache"
    return why


def _why_dedicated(cores: Sequence[Core], dedicated: tuple[int, ...]) -> str:
    if dedicated:
        return "every core that is left"
    return "no core is left" if len(cores) > 1 else "a single core stays whole with the host: guests run unpinned"


def _pool_findings(site: Site, cores: Sequence[Core], pools: Pools) -> Iterator[Finding]:
    """Warnings and hints about these pools."""
    if pools.overlapped:
        yield warning(
            OVERLAPPED,
            where=f"CPU {cpus_text(set(pools.pmd) & {*pools.host, *pools.shared})}",
            found=f"{counted(len(cores), 'physical core')}; the PMD thread shares a CPU with the host",
            expected=f"at least {FEWEST} physical cores for figures that mean something",
        )
    members = {"host": set(pools.host), "dedicated": set(pools.dedicated)}
    if not pools.overlapped:
        members["pmd"] = set(pools.pmd)
    for core in cores:
        owners = [pool for pool, cpus in members.items() if cpus & set(core.cpus)]
        if len(owners) > 1:
            yield warning(
                f"the physical core of CPU {core.id} is split between {' and '.join(owners)}",
                where=site.where("cpus"),
                found=f"CPUs {cpus_text(core.cpus)} are threads of one core",
                expected="all threads of a core in one pool: they compete for it",
            )
    idle = {cpu for core in cores for cpu in core.cpus} - {*pools.host, *pools.pmd, *pools.dedicated, *pools.shared}
    if idle:
        yield info(
            f"CPUs {cpus_text(idle)} are in no pool and stay idle",
            where=site.where("cpus"),
            found="the pools of the site file leave them over, or they are threads of a core that is in one",
        )


def _untouched(requested: Cpus, cores: Sequence[Core]) -> list[Core]:
    """The cores of which no CPU is in a pool of the user's file."""
    pools = (requested.host, requested.pmd, requested.dedicated, requested.shared)
    return _without(cores, [cpu for pool in pools for cpu in pool or ()])


def _first_cpu(site: Site, pool: str, first: int, expected: str) -> Finding:
    return error(
        f"CPU {first} belongs to the host",
        where=site.where("cpus", pool),
        found=f"{pool}: {cpus_text(getattr(site.cpus, pool))}",
        expected=f"{expected}: interrupts and timers stay on it",
    )


def _cpus(cores: Sequence[Core]) -> tuple[int, ...]:
    return tuple(sorted(cpu for core in cores for cpu in core.cpus))


def _without(cores: Sequence[Core], cpus: Sequence[int]) -> list[Core]:
    """The cores that have none of these CPUs."""
    taken = set(cpus)
    return [core for core in cores if not taken & set(core.cpus)]
