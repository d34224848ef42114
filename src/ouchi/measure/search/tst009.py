"""Binary search with loss verification: ETSI GS NFV-TST 009 §12.3.3.

A software path loses a few packets now and then for reasons that have nothing to do with its rate. So a trial with
loss is repeated before the rate is given up, unless it lost so many that chance is no explanation.
"""

from __future__ import annotations

from ouchi.measure.search.bisect import Bracket, narrow, range_end
from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import Evidence, OnTrial, check_range
from ouchi.measure.search.goals import TST009, Bounds, Goal
from ouchi.measure.search.mlrsearch import SearchResult
from ouchi.measure.search.trial import Trial


def loss_verification(
    device: Device,
    *,
    most_pps: float,
    least_pps: float,
    seconds: float = TST009.final_seconds,
    repetitions: int = 2,
    most_lost: int | None = None,
    width: float = 0.005,
    on_trial: OnTrial | None = None,
) -> SearchResult:
    """The highest rate (pps, sum of all streams) at which a trial of ``seconds`` without loss was seen.

    A trial that lost packets is repeated up to ``repetitions`` times, the standard's max(r), but not after one that
    lost more than ``most_lost``, its max(z) (None: any number is repeated). Raises BadInput for an empty range.
    """
    check_range(least_pps, most_pps)
    evidence, bracket = Evidence(device, on_trial), Bracket()

    def passes(pps: float) -> bool:
        for _ in range(1 + repetitions):
            lost = _lost(evidence.trial(pps, seconds))
            if lost == 0:
                return True
            if most_lost is not None and lost > most_lost:
                return False
        return False

    with evidence.keeping():
        narrow(bracket, passes, least=least_pps, most=most_pps, width=width)
    goal = Goal(TST009.name, 0.0, seconds, seconds * (1 + repetitions), repetitions / (1 + repetitions), width)
    # Nothing was lost at the lower bound, so what was received there is the rate itself.
    found = Bounds(goal, bracket.lower, bracket.upper, bracket.lower)
    if not found.narrow:
        reason = evidence.reason or range_end(bracket)
        found = Bounds(goal, bracket.lower, bracket.upper, bracket.lower, reason)
    return SearchResult((found,), tuple(evidence.trials), evidence.complete, evidence.reason)


def _lost(trial: Trial) -> int:
    return sum(abs(stream.lost) + stream.refused for stream in trial.streams)
