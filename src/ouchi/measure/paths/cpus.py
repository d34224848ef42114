"""The CPUs and memory on which a path is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ouchi.plan import Plan


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the generator and the guests run.

    CPU numbers: ``main`` for control threads, which mostly sleep; the generator's ``workers``; ``guests``, one each.
    ``realtime``: the workers run under SCHED_FIFO, since only guests share their CPUs. ``node`` and ``page_kib``: NUMA
    node and size of the hugepages.
    """

    main: int
    workers: tuple[int, ...]
    guests: tuple[int, ...]
    realtime: bool = False
    node: int = 0
    page_kib: int = 2048

    @property
    def shared(self) -> bool:
        """Whether the generator's workers and the guests share CPUs."""
        every = (*self.workers, *self.guests)
        return len(set(every)) < len(every)


def choose_placement(
    plan: Plan, main: int, *, directions: int, guests: int, servers_running: bool = False
) -> Placement:
    """Choose CPUs of the plan's pool for guests, avoiding those of PMD threads where possible.

    ``main``: the CPU of control threads, on a NUMA node with memory.

    Each direction gets a worker where enough CPUs remain for the guests, else one worker serves all directions; guests
    share CPUs where there are too few. ``servers_running``: the site's servers run on the same CPUs.
    """
    pools = plan.pools
    free = [cpu for cpu in pools.dedicated if cpu not in pools.pmd] or list(pools.dedicated) or list(pools.host)
    count = directions if len(free) >= directions + guests else 1
    workers, rest = tuple(free[:count]), free[count:] or free
    guest_cpus = tuple(rest[number % len(rest)] for number in range(guests))
    pages = plan.switch_pages
    placement = Placement(main, workers, guest_cpus, node=pages.node, page_kib=pages.size_kib)
    exclusive = not servers_running and not {*workers} & {*pools.host, *pools.pmd}
    return replace(placement, realtime=placement.shared and exclusive)
