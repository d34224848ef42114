"""Soak test: a long run at one rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import Evidence, OnTrial
from ouchi.measure.search.trial import Trial


@dataclass(frozen=True, slots=True)
class Soak:
    """The intervals of the run in order, each a trial; sums leave invalid ones out."""

    pps: float
    trials: tuple[Trial, ...]
    complete: bool
    reason: str = ""

    @property
    def sent(self) -> int:
        """Frames in valid intervals."""
        return sum(trial.sent for trial in self.trials if trial.valid)

    @property
    def lost(self) -> int:
        """Frames in valid intervals."""
        return sum(trial.lost for trial in self.trials if trial.valid)

    @property
    def invalid(self) -> int:
        """The number of invalid intervals."""
        return sum(not trial.valid for trial in self.trials)


def soak(
    device: Device, pps: float, seconds: float, *, interval_seconds: float = 10.0, on_trial: OnTrial | None = None
) -> Soak:
    """Send ``pps`` (sum of all streams) for ``seconds`` of traffic, in intervals.

    Traffic pauses between intervals while the counters are read. Invalid intervals are not repeated.
    """
    evidence = Evidence(device, on_trial)
    count = max(1, math.ceil(seconds / interval_seconds - 1e-9))
    with evidence.until_stopped():
        for index in range(count):
            rest = seconds - index * interval_seconds
            evidence.once(pps, min(interval_seconds, rest), f"from {index * interval_seconds:g} s")
    return Soak(pps, tuple(evidence.trials), evidence.complete, evidence.reason)
