"""Measuring the simulated device: what several tests of searches share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ouchi.measure.search.evidence import Device
from ouchi.measure.search.goals import Goal
from ouchi.measure.search.methods import SearchMethod, search
from ouchi.measure.search.mlrsearch import SearchResult
from ouchi.measure.search.trial import Trial
from tests.simulated import SimulatedDevice

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


def find(device: SimulatedDevice, *goals: Goal, max_seconds: float = 1e9) -> SearchResult:
    return search(device, goals, max_pps=LINE, min_pps=LEAST, max_seconds=max_seconds, clock=device.clock)


def lower(result: SearchResult, index: int = 0) -> float:
    found = result.bounds[index].lower_pps
    assert found is not None
    return found


def single_trials(
    method: SearchMethod,
    device: Device,
    *,
    max_pps: float = LINE,
    min_pps: float = LEAST,
    loss_ratio: float = 0.0,
    seconds: float = 1.0,
    width: float = 0.005,
) -> SearchResult:
    """A search by a method that judges a rate by single trials."""
    goal = Goal("single", loss_ratio, seconds, seconds, exceed_ratio=0.0, width=width, initial_seconds=seconds)
    return search(device, (goal,), max_pps=max_pps, min_pps=min_pps, max_seconds=1e9, method=method)
