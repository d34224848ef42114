"""Plain bisection: nothing but halving, for a quick look, and to check the cleverer searches against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import Evidence, OnTrial, check_range
from ouchi.measure.search.goals import Goal, bounds, judged_loss
from ouchi.measure.search.mlrsearch import SearchResult


@dataclass(slots=True)
class Bracket:
    """The highest value that passed below the lowest that did not; kept up to date while it narrows."""

    lower: float | None = None
    upper: float | None = None


def bisect(
    device: Device,
    *,
    most_pps: float,
    least_pps: float,
    seconds: float = 1.0,
    loss_ratio: float = 0.0,
    width: float = 0.005,
    on_trial: OnTrial | None = None,
) -> SearchResult:
    """The highest rate (pps, sum of all streams) at which one trial of ``seconds`` loses at most ``loss_ratio``.

    Bounds within ``width`` of the upper one. Raises BadInput for an empty range.
    """
    check_range(least_pps, most_pps)
    evidence, bracket = Evidence(device, on_trial), Bracket()
    with evidence.keeping():
        narrow(
            bracket,
            lambda pps: judged_loss(evidence.trial(pps, seconds)) <= loss_ratio,
            least=least_pps,
            most=most_pps,
            width=width,
        )
    goal = Goal("bisection", loss_ratio, seconds, seconds, exceed_ratio=0.0, width=width, initial_seconds=seconds)
    found = bounds(goal, evidence.trials, evidence.reason or range_end(bracket))
    return SearchResult((found,), tuple(evidence.trials), evidence.complete, evidence.reason)


def narrow(bracket: Bracket, passes: Callable[[float], bool], *, least: float, most: float, width: float) -> None:
    """Halve between ``least`` and ``most`` (by ratio) until the bounds are within ``width`` of the upper one.

    The ends come first: with ``most`` passing or ``least`` failing there is nothing between to look for.
    """
    if passes(most):
        bracket.lower = most
        return
    bracket.upper = most
    if not passes(least):
        bracket.upper = least
        return
    bracket.lower = least
    while bracket.upper - bracket.lower > width * bracket.upper:
        middle = math.sqrt(bracket.lower * bracket.upper)
        if passes(middle):
            bracket.lower = middle
        else:
            bracket.upper = middle


def range_end(bracket: Bracket) -> str:
    """Why a finished bracket has one side only."""
    if bracket.upper is None and bracket.lower is not None:
        return f"met at {bracket.lower:,.0f} pps, the most that was offered"
    if bracket.lower is None and bracket.upper is not None:
        return f"not met even at {bracket.upper:,.0f} pps, the least that was offered"
    return ""
