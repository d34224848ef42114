"""The alternatives: the same rules with other aims, each with its gains and costs.

They are compared by what can be counted; which one is faster only a measurement shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ouchi.core.errors import info, warning
from ouchi.facts import Core, Facts
from ouchi.plan.draft import Draft, draft
from ouchi.plan.keys import SLEEP_US, saves_power, sleep_key
from ouchi.plan.mempools import RING
from ouchi.plan.values import Alternative, NicPlan, Pools, Style, counted, cpus_text
from ouchi.site import Site

FEWEST_LEFT = 0.5
"""The share of the dedicated CPUs of the style capacity that another style must have to be compared."""


def drafts(site: Site, facts: Facts, cores: Sequence[Core], nics: Sequence[NicPlan]) -> dict[Style, Draft]:
    """The drafts of the styles that differ on this machine, capacity first. Not all of them need to work."""
    capacity = draft(site, facts, cores, nics, Style.CAPACITY)
    found = {Style.CAPACITY: capacity}
    if capacity.pools.overlapped:
        return found  # two cores have one plan
    if _have_caches(cores):
        cache = draft(site, facts, cores, nics, Style.CACHE)
        if _worth_comparing(cache.pools, capacity.pools, cores):
            found[Style.CACHE] = cache
    power = draft(site, facts, cores, nics, Style.POWER)
    if power.pools != capacity.pools or sleep_key(facts.ovs_version):
        found[Style.POWER] = power
    return found


def choose(site: Site, found: Mapping[Style, Draft], requested: Style, cores: Sequence[Core]) -> Draft:
    """The draft in the requested style, or the first that works, with a note why; else one with errors."""
    preferred = found.get(requested)
    nearest = next(
        (one for one in (preferred, *found.values()) if one and one.works), preferred or found[Style.CAPACITY]
    )
    if nearest is preferred:
        return nearest
    where, expected = site.where("cpus", "prefer"), f"planned for {nearest.style}"
    if preferred:
        claim, found_instead = f"a plan for {requested} cannot hold your servers", preferred.notes.errors[0].claim
        nearest.notes.find(warning(claim, where=where, found=found_instead, expected=expected))
    else:
        found_instead = _why_not(requested, nearest.pools, cores)
        claim = f"a plan for {requested} would gain nothing on this machine"
        nearest.notes.find(info(claim, where=where, found=found_instead, expected=expected))
    return nearest


def compare(
    found: Mapping[Style, Draft], chosen: Draft, facts: Facts, cores: Sequence[Core]
) -> tuple[Alternative, ...]:
    """The drafts that work side by side, the chosen one first."""
    working = [one for one in found.values() if one.works]
    numbers = {one.style: _numbers(cores, one) for one in working}
    rivals = [
        _Rival(
            one,
            numbers[one.style],
            [numbers[other.style] for other in working if other is not one],
            _sleeps(one, facts),
        )
        for one in working
    ]
    sleeps = any(rival.sleeps for rival in rivals)
    return tuple(
        Alternative(
            name=rival.draft.style.value,
            chosen=rival.draft is chosen,
            pools=rival.draft.pools,
            gains=tuple(_gains(rival, sleeps, facts, cores)),
            costs=tuple(_costs(rival, sleeps, facts)),
            numbers=rival.numbers,
        )
        for rival in sorted(rivals, key=lambda rival: (rival.draft is not chosen, rival.draft.style.value))
    )


@dataclass(frozen=True, slots=True)
class _Rival:
    """A draft, what can be counted of it and of the others, and whether its PMD threads sleep when idle."""

    draft: Draft
    numbers: Mapping[str, int]
    others: Sequence[Mapping[str, int]]
    sleeps: bool

    def most(self, key: str) -> int:
        """The largest number of the others; the own one when there are none."""
        return max((other[key] for other in self.others), default=self.numbers[key])

    def least(self, key: str) -> int:
        """The smallest number of the others; the own one when there are none."""
        return min((other[key] for other in self.others), default=self.numbers[key])


def _sleeps(one: Draft, facts: Facts) -> bool:
    return (one.style is Style.POWER or one.pools.overlapped) and bool(sleep_key(facts.ovs_version))


def _have_caches(cores: Sequence[Core]) -> bool:
    """Whether there are several L3 caches, at least one of them of several cores.

    A cache for each core says nothing: that is how many a hypervisor shows its CPUs.
    """
    groups = Counter(core.l3 for core in cores if core.l3 >= 0)
    return len(groups) > 1 and max(groups.values()) > 1


def _worth_comparing(cache: Pools, capacity: Pools, cores: Sequence[Core]) -> bool:
    """Whether the caches without the host leave guests enough CPUs, and some on every node where threads poll."""
    node_of = {cpu: core.node for core in cores for cpu in core.cpus}
    here, before = ({node_of[cpu] for cpu in pools.dedicated} for pools in (cache, capacity))
    polled = {node_of[cpu] for cpu in cache.pmd}
    enough = len(cache.dedicated) >= FEWEST_LEFT * len(capacity.dedicated)
    return cache != capacity and bool(cache.dedicated) and enough and polled & before <= here


def _numbers(cores: Sequence[Core], one: Draft) -> dict[str, int]:
    """See :class:`~ouchi.plan.values.Alternative`."""
    pools = one.pools
    l3_of = {cpu: core.l3 for core in cores for cpu in core.cpus}
    polled = {l3_of[cpu] for cpu in pools.pmd} - {-1}
    host = {l3_of[cpu] for cpu in pools.host} - {-1}
    used = [cpu for guest in one.guests if guest.pinned for cpu in guest.cpus]
    return {
        "pmd_cores": sum(not set(pools.pmd).isdisjoint(core.cpus) for core in cores),
        "dedicated_cpus": len(pools.dedicated),
        "guest_cpus": len(used),
        "guest_cpus_near_pmd": sum(l3_of[cpu] in polled for cpu in used),
        "l3_shared_with_host": sum(l3_of[cpu] in host for cpu in pools.dedicated),
        "idle_cpus": len(l3_of.keys() - {*pools.host, *pools.pmd, *pools.dedicated, *pools.shared}),
    }


def _gains(rival: _Rival, sleeps: bool, facts: Facts, cores: Sequence[Core]) -> list[str]:
    numbers, gains = rival.numbers, []
    if not rival.others:
        return ["no other plan would differ on this machine"]
    if numbers["dedicated_cpus"] > (fewest := rival.least("dedicated_cpus")):
        gains.append(f"{counted(numbers['dedicated_cpus'], 'CPU')} for pinned guests, where another plan has {fewest}")
    if (near := numbers["guest_cpus_near_pmd"]) > rival.least("guest_cpus_near_pmd"):
        gains.append(f"{near} of the guests' {numbers['guest_cpus']} CPUs have a PMD thread in their L3 cache")
    if not numbers["l3_shared_with_host"] and rival.most("l3_shared_with_host"):
        gains.append("no guest shares an L3 cache with Linux and OpenStack")
    if numbers["pmd_cores"] > (fewest := rival.least("pmd_cores")):
        gains.append(f"{counted(numbers['pmd_cores'], 'core')} poll, where another plan has {fewest}")
    if rival.sleeps:
        gains.append("PMD threads without packets sleep, and their cores with them")
    elif sleeps:
        gains.append("PMD threads never sleep: no packet waits for one to wake")
    if rival.draft.style is Style.POWER:
        gains += _savings(rival.draft.pools, facts, cores)
    return gains or ["the default rules"]


def _savings(pools: Pools, facts: Facts, cores: Sequence[Core]) -> list[str]:
    """The savings of the style power besides the PMD threads."""
    savings = []
    efficient = {cpu for core in cores if core.kind == "efficient" for cpu in core.cpus} & set(pools.host)
    if efficient:
        savings.append(
            f"services, unpinned guests and emulator threads have the efficient cores {cpus_text(efficient)}"
        )
    if saves_power(facts, pools):
        savings.append("nova runs dedicated CPUs that no guest has at the governor powersave")
    return savings


def _costs(rival: _Rival, sleeps: bool, facts: Facts) -> list[str]:
    numbers, costs = rival.numbers, []
    if (fewer := rival.most("dedicated_cpus") - numbers["dedicated_cpus"]) > 0:
        costs.append(f"{counted(fewer, 'CPU')} fewer for pinned guests ({numbers['dedicated_cpus']} left)")
    if (shared := numbers["l3_shared_with_host"]) and not rival.least("l3_shared_with_host"):
        costs.append(
            f"{shared} of the {numbers['dedicated_cpus']} CPUs for guests share an L3 cache with Linux and OpenStack"
        )
    if (far := numbers["guest_cpus"] - numbers["guest_cpus_near_pmd"]) and far > min(
        (other["guest_cpus"] - other["guest_cpus_near_pmd"] for other in rival.others), default=far
    ):
        costs.append(f"packets of {far} of the guests' {numbers['guest_cpus']} CPUs cross between L3 caches")
    if numbers["pmd_cores"] < (most := rival.most("pmd_cores")):
        polls = "polls" if numbers["pmd_cores"] == 1 else "poll"
        costs.append(f"only {counted(numbers['pmd_cores'], 'core')} {polls}, where another plan has {most}")
    if rival.sleeps:
        costs.append(
            f"the first packets after a pause wait up to {SLEEP_US} µs for the PMD thread to wake: above "
            f"{RING / SLEEP_US:.1f} million in a second, an Rx ring of {RING} overflows meanwhile"
        )
    elif sleeps:
        costs.append(f"{counted(numbers['pmd_cores'], 'core')} at full power even when no packet comes")
    return [*costs, *_smaller_caches(rival.draft.pools, facts)]


def _smaller_caches(pools: Pools, facts: Facts) -> list[str]:
    """Where a cache that guests are kept out of is larger than theirs (stacked caches are on one die of two)."""
    guests, others = set(pools.dedicated), {*pools.host, *pools.pmd}
    theirs = max((group.size_kib for group in facts.l3 if guests & set(group.cpus)), default=0)
    withheld = (group for group in facts.l3 if others & set(group.cpus) and not guests & set(group.cpus))
    lost = max((group.size_kib for group in withheld), default=0)
    if not 0 < theirs < lost:
        return []
    return [
        f"guests have an L3 cache of {theirs // 1024} MiB; the one of {lost // 1024} MiB belongs to the host and the PMD threads"
    ]


def _why_not(requested: Style, pools: Pools, cores: Sequence[Core]) -> str:
    if pools.overlapped:
        return "there are too few cores for a choice"
    if requested is not Style.CACHE:
        return "the pools would be the same, and the installed OVS does not let PMD threads sleep"
    groups = {core.l3 for core in cores if core.l3 >= 0}
    if not groups:
        return "the machine shows no L3 cache"
    if len(groups) == 1:
        return "its cores share one L3 cache"
    if not _have_caches(cores):
        return "each core shows an L3 cache of its own"
    return "the L3 caches without Linux and PMD threads have too few CPUs for guests on the NUMA nodes of the NICs"
