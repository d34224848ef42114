"""Binary search: plain, and with loss verification (ETSI GS NFV-TST 009 clause 12.3.3).

A software path loses a few frames now and then for reasons unrelated to its rate. Loss verification repeats a lossy
trial before the rate is given up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ouchi.measure.search.evidence import Device, Evidence, OnTrial, check_range
from ouchi.measure.search.goals import Bounds, Goal, judged_loss

REPETITIONS = 2
"""Of a lossy trial: max(r) of TST 009."""


@dataclass(slots=True)
class Bracket:
    """The highest value that passed, and the lowest above it that failed."""

    lower: float | None = None
    upper: float | None = None


def binary_search(
    device: Device,
    goal: Goal,
    *,
    max_pps: float,
    min_pps: float,
    max_seconds: float = float("inf"),
    repetitions: int = 0,
    on_trial: OnTrial | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Bounds, Evidence]:
    """The highest rate (pps, sum of all streams) at which one trial of ``goal.final_seconds`` meets its loss ratio.

    A trial that loses more is repeated up to ``repetitions`` times. The search ends when the bounds are within
    ``goal.width`` of the upper one. Raises BadInput for an empty range.
    """
    check_range(min_pps, max_pps)
    evidence = Evidence(device, on_trial, max_seconds, clock)
    bracket, loss_at_lower = Bracket(), 0.0

    def passes(pps: float) -> bool:
        nonlocal loss_at_lower
        for _ in range(1 + repetitions):
            loss = judged_loss(evidence.trial(pps, goal.final_seconds))
            if loss <= goal.loss_ratio:
                loss_at_lower = loss
                return True
        return False

    with evidence.until_stopped():
        narrow(bracket, passes, minimum=min_pps, maximum=max_pps, width=goal.width)
    conditional = None if bracket.lower is None else bracket.lower * (1 - loss_at_lower)
    found = Bounds(goal, bracket.lower, bracket.upper, conditional)
    reason = "" if found.narrow else evidence.reason
    return replace(found, reason=reason).with_range_limit(min_pps, max_pps), evidence


def narrow(bracket: Bracket, passes: Callable[[float], bool], *, minimum: float, maximum: float, width: float) -> None:
    """Halve the range (by ratio) until the bounds are within ``width`` of the upper one, after trying both ends."""
    if passes(maximum):
        bracket.lower = maximum
        return
    bracket.upper = maximum
    if not passes(minimum):
        bracket.upper = minimum
        return
    bracket.lower = minimum
    while bracket.upper - bracket.lower > width * bracket.upper:
        middle = math.sqrt(bracket.lower * bracket.upper)
        if passes(middle):
            bracket.lower = middle
        else:
            bracket.upper = middle
