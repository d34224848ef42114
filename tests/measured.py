"""Measuring the simulated device: what several tests of searches share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ouchi.measure.search.goals import Goal
from ouchi.measure.search.mlrsearch import SearchResult, search
from ouchi.measure.search.simulated import SimulatedDevice
from ouchi.measure.search.trial import Trial

LINE = 14_880_952.0
"""pps: 10 Gbit/s of 64-byte frames."""
LEAST = 9_000.0


@dataclass
class Tampered:
    """A device between which and the search something happens to the n-th trial."""

    inner: SimulatedDevice
    change: Callable[[int, Trial], Trial]
    streams: int = 1
    count: int = field(default=0, init=False)

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        self.count += 1
        return self.change(self.count, self.inner.trial(pps, seconds, label))


def find(device: SimulatedDevice, *goals: Goal, most_seconds: float = 1e9) -> SearchResult:
    return search(device, goals, most_pps=LINE, least_pps=LEAST, most_seconds=most_seconds, clock=device.clock)


def lower(result: SearchResult, index: int = 0) -> float:
    found = result.bounds[index].lower_pps
    assert found is not None
    return found
