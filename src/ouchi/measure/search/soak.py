"""A long run at one rate: how much is lost, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import Evidence, OnTrial
from ouchi.measure.search.trial import Trial


@dataclass(frozen=True, slots=True)
class Soak:
    """The run's intervals in order, each a trial; invalid ones stay in place but in no sum."""

    pps: float
    trials: tuple[Trial, ...]
    complete: bool
    reason: str = ""

    @property
    def sent(self) -> int:
        """Packets in valid intervals."""
        return sum(trial.sent for trial in self.trials if trial.valid)

    @property
    def lost(self) -> int:
        """Packets in valid intervals."""
        return sum(trial.lost for trial in self.trials if trial.valid)

    @property
    def loss_ratio(self) -> float | None:
        """Lost over sent; None when nothing was."""
        return self.lost / self.sent if self.sent else None

    @property
    def resolution(self) -> float | None:
        """The least loss ratio that the run could have seen: one packet of all."""
        return 1 / self.sent if self.sent else None

    @property
    def invalid(self) -> int:
        """Intervals that prove nothing."""
        return sum(not trial.valid for trial in self.trials)


def soak(
    device: Device, pps: float, seconds: float, *, interval_seconds: float = 10.0, on_trial: OnTrial | None = None
) -> Soak:
    """Send ``pps`` (sum of all streams) for ``seconds`` of traffic, in intervals.

    Between intervals the traffic pauses while the counters are read. An invalid interval is not repeated: its time
    has passed.
    """
    evidence = Evidence(device, on_trial)
    count = max(1, math.ceil(seconds / interval_seconds - 1e-9))
    with evidence.keeping():
        for index in range(count):
            rest = seconds - index * interval_seconds
            evidence.once(pps, min(interval_seconds, rest), f"from {index * interval_seconds:g} s")
    return Soak(pps, tuple(evidence.trials), evidence.complete, evidence.reason)
