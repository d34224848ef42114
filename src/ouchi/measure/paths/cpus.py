"""Who runs on which CPU while a path is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ouchi.plan import Plan


@dataclass(frozen=True, slots=True)
class Cpus:
    """CPU numbers: ``main`` for what sleeps most of the time, the generator's ``workers``, one for each guest.

    ``urgent``: the generator goes before whoever else is there, as only guests share its CPUs.
    """

    main: int
    workers: tuple[int, ...]
    guests: tuple[int, ...]
    urgent: bool = False

    @property
    def shared(self) -> bool:
        """Whether the generator and the guests have fewer CPUs than they are."""
        every = (*self.workers, *self.guests)
        return len(set(every)) < len(every)


def choose_cpus(plan: Plan, *, directions: int, guests: int, servers: bool = False) -> Cpus:
    """The plan's CPUs for guests, as whoever measures is one: never those of the PMDs where there are others.

    A worker for each direction where there are enough for the guests too; else one for all directions. Where even
    those do not suffice, guests share. ``servers``: those of the site run, on the same CPUs.
    """
    pools = plan.pools
    free = [cpu for cpu in pools.dedicated if cpu not in pools.pmd] or list(pools.dedicated) or list(pools.host)
    workers = directions if len(free) >= directions + guests else 1
    behind = free[workers:] or free
    chosen = tuple(behind[number % len(behind)] for number in range(guests))
    cpus = Cpus(min(pools.host), tuple(free[:workers]), chosen)
    return replace(cpus, urgent=cpus.shared and not servers and not {*cpus.workers} & {*pools.host, *pools.pmd})
