"""One host in one style: its pools and all that follows from them, whether it is possible or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ouchi.facts import Core, Facts
from ouchi.plan.guests import place_guests
from ouchi.plan.locality import locality
from ouchi.plan.memory import MemoryPlan, plan_memory, room_mib
from ouchi.plan.nics import ALONE, assign_queues
from ouchi.plan.nodes import memoryless_nodes
from ouchi.plan.pools import choose_pools
from ouchi.plan.values import GuestPlan, NicPlan, Notes, Pools, Style
from ouchi.site import Site


@dataclass(frozen=True, slots=True)
class Draft:
    """Pools, NICs, guests and memory in one style, with the reasons; what cannot be is an error in the notes."""

    style: Style
    pools: Pools
    nics: tuple[NicPlan, ...]
    guests: tuple[GuestPlan, ...]
    memory: MemoryPlan
    notes: Notes

    @property
    def works(self) -> bool:
        """True when nothing in it is impossible."""
        return not self.notes.errors


def draft(site: Site, facts: Facts, cores: Sequence[Core], nics: Sequence[NicPlan], style: Style) -> Draft:
    """The host in a style. ``nics`` as :func:`~ouchi.plan.nics.plan_nics` has them, without queues."""
    notes = Notes()
    nic_nodes = tuple(sorted({nic.node for nic in nics if nic.role != ALONE} & {core.node for core in cores}))
    without = memoryless_nodes(facts)
    pools = choose_pools(site, cores, nic_nodes=nic_nodes, memoryless=without, style=style, notes=notes)
    guests = place_guests(site, cores, nics, room_mib(site, facts, pools), pools, notes)
    with_queues = assign_queues(site, nics, facts, pools, notes)
    memory = plan_memory(site, facts, pools, with_queues, guests, notes)
    if not notes.errors:
        notes.findings += locality(site, cores, pools, with_queues, guests)
    return Draft(style, pools, with_queues, guests, memory, notes)
