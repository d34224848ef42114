"""Who gets which CPUs: host, pmd, dedicated and shared.

Kept always: CPU 0 is the host's; pools are made of whole physical cores; they are disjoint (shared may be the
host's) and cover every online CPU. What the user's file says is obeyed and the rest chosen around it; only that can
leave a CPU idle or split a core, and then a finding says so. With fewer than three physical cores the polling thread
overlaps the host.
"""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.errors import Finding, error, info, warning
from ouchi.facts import Core
from ouchi.plan.packing import pack
from ouchi.plan.values import Notes, Pools, counted, cpus_text
from ouchi.site import Cpus, Site

LARGE = 16  # cores from which the host and the polling threads get two each
FEWEST = 3  # cores that host, PMD and guests need to have one each

OVERLAPPED = "overlapped: figures are not meaningful as performance"


def refused(site: Site, cores: Sequence[Core]) -> list[Finding]:
    """What in the user's pools cannot be kept on this machine, whatever the rest."""
    first = cores[0].id
    wishes = site.cpus
    findings = []
    if wishes.host is not None and first not in wishes.host:
        findings.append(_first_cpu(site, "host", first, f"a host pool with CPU {first}"))
    if wishes.dedicated is not None and first in wishes.dedicated:
        findings.append(_first_cpu(site, "dedicated", first, f"a dedicated pool without CPU {first}"))
    if wishes.pmd is not None and first in wishes.pmd and len(cores) >= FEWEST:
        findings.append(_first_cpu(site, "pmd", first, f"a pmd pool without CPU {first}"))
    free = [core for core in _untouched(wishes, cores) if core is not cores[0]]
    if wishes.pmd is None and len(cores) >= FEWEST and not free:
        findings.append(
            error(
                "the pools leave no core for OVS-DPDK's polling thread",
                where=site.where("cpus"),
                found=f"every one of {counted(len(cores), 'core')} is in a pool, in part at least",
                expected="one physical core in no pool, or a pmd pool",
                remedy="take a core out of dedicated, shared or host, or write down pmd",
            )
        )
    return findings


def choose_pools(
    site: Site, cores: Sequence[Core], pmd_nodes: tuple[int, ...], guests: Sequence[int], notes: Notes
) -> Pools:
    """The pools of a machine with these physical cores.

    ``pmd_nodes``: the NUMA nodes of the NICs, where the polling threads go; empty: where CPU 0 is. ``guests``: the
    vCPUs of the servers that would be pinned, in the order nova places them.
    """
    wishes = site.cpus
    free = list(_untouched(wishes, cores))
    host = wishes.host or _host(wishes, cores, free, notes)
    free = [core for core in free if not set(core.cpus) & set(host)]
    pmd = wishes.pmd or _pmd(cores, free, host, pmd_nodes, wishes.dedicated, guests, notes)
    free = [core for core in free if not set(core.cpus) & set(pmd)]
    dedicated = wishes.dedicated
    if dedicated is None:
        dedicated = _cpus(free)
        notes.because("pool dedicated", cpus_text(dedicated), _why_dedicated(cores, dedicated))
    elif wishes.host is None and free:
        host = tuple(sorted({*host, *_cpus(free)}))
        notes.because("pool host", cpus_text(host), "also has what the pools of your file leave over")
    shared = wishes.shared or host
    if wishes.shared is None:
        notes.because("pool shared", cpus_text(shared), "the host's: emulator threads and unpinned vCPUs run there")
    for pool in ("host", "pmd", "dedicated", "shared"):
        if (wish := getattr(wishes, pool)) is not None:
            notes.because(f"pool {pool}", cpus_text(wish), "your file says so")
    pools = Pools(host, tuple(sorted(pmd)), dedicated, shared)
    for finding in _remarks(site, cores, pools):
        notes.find(finding)
    return pools


def _host(wishes: Cpus, cores: Sequence[Core], free: list[Core], notes: Notes) -> tuple[int, ...]:
    """The core of CPU 0, and a second one next to it on a large machine."""
    others = {*(wishes.pmd or ()), *(wishes.dedicated or ())} if len(cores) >= FEWEST else {*(wishes.dedicated or ())}
    host = {cpu for cpu in cores[0].cpus if cpu not in others}
    why = f"CPU {cores[0].id} serves interrupts and timers that cannot move; the whole core goes with it"
    if len(cores) >= LARGE and len(free) > FEWEST:
        beside = [core for core in free if core is not cores[0] and core.node == cores[0].node][:1]
        host |= set(_cpus(beside))
        why += f"; a second one because {counted(len(cores), 'core')} leave room for OpenStack's services"
    notes.because("pool host", cpus_text(host), why)
    return tuple(sorted(host))


def _pmd(
    cores: Sequence[Core],
    free: list[Core],
    host: tuple[int, ...],
    nodes: tuple[int, ...],
    dedicated: tuple[int, ...] | None,
    guests: Sequence[int],
    notes: Notes,
) -> tuple[int, ...]:
    if len(cores) < FEWEST:
        # The last thread of the host's core: with SMT the host keeps one thread that is not polled on.
        chosen = max(set(cores[0].cpus) & set(host))
        aim = "so that guests can have the other core" if len(cores) > 1 else "and everything else"
        why = f"only {counted(len(cores), 'core')}: the polling thread overlaps the host {aim}"
        notes.because("pool pmd", str(chosen), why)
        return (chosen,)
    where = "the NICs are" if nodes else "CPU 0 is"
    nodes = nodes or (cores[0].node,)
    count = max(2 if len(cores) >= LARGE else 1, len(nodes))
    count = min(count, max(1, len(free) - 1))  # guests come first to the last core
    chosen_cores: list[Core] = []
    for turn in range(count):
        rest = [core for core in free if core not in chosen_cores]
        local = [core for core in rest if core.node == nodes[turn % len(nodes)]]
        chosen_cores.append(_nearest(local or rest, rest, dedicated, guests))
    pmd = _cpus(chosen_cores)
    notes.because("pool pmd", cpus_text(pmd), _why_pmd(cores, free, chosen_cores, where, dedicated, guests))
    return pmd


def _nearest(
    candidates: list[Core], rest: list[Core], dedicated: tuple[int, ...] | None, guests: Sequence[int]
) -> Core:
    """The core whose L3 cache most guest CPUs share, as nova will place them; the lowest among equals."""
    first_of_group: dict[int, Core] = {}
    for core in candidates:
        first_of_group.setdefault(core.l3, core)
    return max(first_of_group.values(), key=lambda core: (_neighbours(core, rest, dedicated, guests), -core.id))


def _neighbours(core: Core, rest: list[Core], dedicated: tuple[int, ...] | None, guests: Sequence[int]) -> int:
    """How many planned guest CPUs share the core's L3 cache (0 when the machine does not say)."""
    if core.l3 < 0:
        return 0
    used = set(
        _guest_cpus([other for other in rest if other is not core and other.node == core.node], dedicated, guests)
    )
    return sum(len(used & set(other.cpus)) for other in rest if other.l3 == core.l3)


def _guest_cpus(rest: list[Core], dedicated: tuple[int, ...] | None, guests: Sequence[int]) -> tuple[int, ...]:
    if dedicated is not None:
        rest = [Core((cpu,), 0, -1) for cpu in dedicated]
    return pack([core.cpus for core in rest], guests)


def _why_pmd(
    cores: Sequence[Core],
    free: list[Core],
    chosen: list[Core],
    where: str,
    dedicated: tuple[int, ...] | None,
    guests: Sequence[int],
) -> str:
    size = f"{LARGE} or more" if len(cores) >= LARGE else f"fewer than {LARGE}"
    why = f"{counted(len(chosen), 'whole core')}, as the machine has {size} ({len(cores)})"
    nodes = {core.node for core in chosen}
    if len({core.node for core in cores}) > 1:
        why += f"; on NUMA node {cpus_text(nodes)}, where {where}"
    used = _guest_cpus([core for core in free if core not in chosen and core.node in nodes], dedicated, guests)
    groups = {core.l3 for core in chosen if core.l3 >= 0}
    near = sum(len(set(used) & set(core.cpus)) for core in cores if core.l3 in groups)
    if near and any(core.l3 not in groups for core in cores):
        why += f"; shares its L3 cache with {near} of the {len(used)} guest CPUs that nova fills first"
    return why


def _why_dedicated(cores: Sequence[Core], dedicated: tuple[int, ...]) -> str:
    if dedicated:
        return "every core that is left"
    return "no core is left" if len(cores) > 1 else "a single core stays whole with the host: guests run unpinned"


def _remarks(site: Site, cores: Sequence[Core], pools: Pools) -> list[Finding]:
    """What the user should know about these pools."""
    remarks = []
    if pools.overlapped:
        remarks.append(
            warning(
                OVERLAPPED,
                where=f"CPU {cpus_text(set(pools.pmd) & {*pools.host, *pools.shared})}",
                found=f"{counted(len(cores), 'physical core')}; the polling thread shares a CPU with the host",
                expected=f"at least {FEWEST} physical cores for figures that mean something",
            )
        )
    members = {"host": set(pools.host), "dedicated": set(pools.dedicated)}
    if not pools.overlapped:
        members["pmd"] = set(pools.pmd)
    for core in cores:
        owners = [pool for pool, cpus in members.items() if cpus & set(core.cpus)]
        if len(owners) > 1:
            remarks.append(
                warning(
                    f"the physical core of CPU {core.id} is split between {' and '.join(owners)}",
                    where=site.where("cpus"),
                    found=f"CPUs {cpus_text(core.cpus)} are threads of one core",
                    expected="all threads of a core in one pool: they compete for it",
                )
            )
    idle = {cpu for core in cores for cpu in core.cpus} - {*pools.host, *pools.pmd, *pools.dedicated, *pools.shared}
    if idle:
        remarks.append(
            info(
                f"CPUs {cpus_text(idle)} are in no pool and stay idle",
                where=site.where("cpus"),
                found="the pools of your file leave them over, or they are threads of a core that is in one",
            )
        )
    return remarks


def _untouched(wishes: Cpus, cores: Sequence[Core]) -> list[Core]:
    """The cores of which no CPU is in a pool of the user's file."""
    taken = {cpu for pool in (wishes.host, wishes.pmd, wishes.dedicated, wishes.shared) for cpu in pool or ()}
    return [core for core in cores if not taken & set(core.cpus)]


def _first_cpu(site: Site, pool: str, first: int, expected: str) -> Finding:
    return error(
        f"CPU {first} belongs to the host",
        where=site.where("cpus", pool),
        found=f"{pool}: {cpus_text(getattr(site.cpus, pool))}",
        expected=f"{expected}: interrupts and timers stay on it",
    )


def _cpus(cores: Sequence[Core]) -> tuple[int, ...]:
    return tuple(sorted(cpu for core in cores for cpu in core.cpus))
