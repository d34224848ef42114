"""What a user wants measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ouchi.measure.generator.imix import genome
from ouchi.measure.paths.cpus import choose_cpus
from ouchi.measure.paths.open import GuestKind, Setup
from ouchi.measure.paths.path import PATHS, Path
from ouchi.measure.paths.wires import Wire
from ouchi.measure.search.further import Further
from ouchi.measure.search.goals import Goal
from ouchi.plan import Plan
from ouchi.plan.mempools import MTU

AROUND = 18
"""Bytes of an untagged frame beyond its payload: Ethernet header and FCS."""
LARGEST, JUMBO = 9000, 9000
"""Bytes of a frame with FCS; and the MTU of ports that take those."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be measured.

    ``most_seconds`` bounds one search. ``rates``, of all directions together, are offered for ``seconds`` each, without
    a search. ``kernel``: the kernel's networking beside it.
    """

    path_name: str
    sizes: tuple[str, ...]
    goals: tuple[Goal, ...]
    flows: int = 1
    repeats: int = 3
    both: bool = True
    most_seconds: float = 120.0
    guest: GuestKind = "testpmd"
    wires: tuple[Wire, ...] = ()
    also: tuple[Further, ...] = ()
    rates: tuple[str, ...] = ()
    seconds: float = 10.0
    kernel: bool = False

    @property
    def path(self) -> Path:
        """The path, as its wires make it."""
        return PATHS[self.path_name].over_wires(len(self.wires))

    @property
    def directions(self) -> int:
        """How many streams are sent at once."""
        return len(self.path.directions) if self.both else 1

    @property
    def mtu(self) -> int:
        """Ethernet's own, or one for jumbo frames."""
        largest = max(max(genome(size).sizes) for size in self.sizes)
        return MTU if largest <= MTU + AROUND else JUMBO

    def setup(self, plan: Plan, *, servers: bool = False) -> Setup:
        """How its path is opened on a host of this plan. ``servers``: those of the site run meanwhile."""
        cpus = choose_cpus(plan, directions=len(self.path.directions), guests=len(self.path.guests), servers=servers)
        need = plan.hugepages[0]
        return Setup(self.path, cpus, self.mtu, self.wires, self.guest, need.node, need.size_kib)

    def to_json(self) -> dict[str, Any]:
        """As a run's folder says it."""
        return {
            "frame sizes": list(self.sizes),
            "flows": self.flows,
            "directions": self.directions,
            "goals": [goal.name for goal in self.goals],
            "repeats": self.repeats,
            **({"guest": self.guest} if self.path.guests else {}),
            **({"wires": [str(wire) for wire in self.wires]} if self.wires else {}),
            **({"rates": [f"{rate} for {self.seconds:g} s" for rate in self.rates]} if self.rates else {}),
            **({"also": [str(test) for test in self.also]} if self.also else {}),
        }
