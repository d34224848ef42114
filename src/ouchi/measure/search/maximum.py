"""Maximum receive rate: the rate received at the highest load, regardless of loss."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import Evidence, OnTrial
from ouchi.measure.search.trial import Trial


@dataclass(frozen=True, slots=True)
class Maximum:
    """Received rates (pps, sum of all streams) of the valid trials in order, at ``offered_pps``."""

    offered_pps: float
    received_pps: tuple[float, ...]
    trials: tuple[Trial, ...]
    complete: bool
    reason: str = ""

    @property
    def median_pps(self) -> float | None:
        """None without a valid trial."""
        return statistics.median(self.received_pps) if self.received_pps else None


def maximum(
    device: Device, offered_pps: float, *, seconds: float = 1.0, repeats: int = 10, on_trial: OnTrial | None = None
) -> Maximum:
    """``repeats`` trials of ``seconds`` at the highest load; FD.io CSIT's maximum receive rate has 10 of 1 s."""
    evidence = Evidence(device, on_trial)
    with evidence.until_stopped():
        for _ in range(repeats):
            evidence.trial(offered_pps, seconds, "maximum")
    received = tuple(trial.received_pps for trial in evidence.trials if trial.valid)
    return Maximum(offered_pps, received, tuple(evidence.trials), evidence.complete, evidence.reason)
