"""Search for several goals at once: MLRsearch picks what to try next, our own rule says what the trials show.

MLRsearch (PyPI ``MLRsearch``, by FD.io CSIT) raises when it runs out of time or meets a device that makes no sense,
and its result is lost with it. So it only steers: each trial is kept here, and the bounds are computed from the
trials by :func:`ouchi.measure.search.goals.bounds`, which is the same rule and gives the same figures when it finishes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import INTERRUPTED, Evidence, Stop, check_range
from ouchi.measure.search.goals import (
    NDR,
    PDR,
    RFC2544,
    TST009,
    Bounds,
    Goal,
    bounds,
    by_rate,
    goal,
    judged_loss,
    verdict,
)
from ouchi.measure.search.trial import Trial

__all__ = ["NDR", "PDR", "RFC2544", "TST009", "Bounds", "Goal", "SearchResult", "Standing", "bounds", "goal", "search"]

WIDE = "some trials count against their rates only, which the steering does not see"
"""Why a search that has ended may have wide bounds."""
_UNLIMITED = 1e9
"""Seconds: MLRsearch's own limit, out of the way of ours, which knows the length of a trial before it begins."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a search stands after a trial; ``left_seconds`` is an estimate, never above what the time limit leaves."""

    bounds: tuple[Bounds, ...]
    trials: int
    spent_seconds: float
    left_seconds: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The bounds of each goal in the order asked, all trials, and whether the search ended by itself or for what reason."""

    bounds: tuple[Bounds, ...]
    trials: tuple[Trial, ...]
    complete: bool
    reason: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it."""
        return self.reason == INTERRUPTED

    def to_json(self) -> dict[str, Any]:
        """All but the trials, which are kept one by one."""
        return {
            "bounds": [each.to_json() for each in self.bounds],
            "trials": len(self.trials),
            "complete": self.complete,
            "reason": self.reason,
        }


def search(
    device: Device,
    goals: Sequence[Goal],
    *,
    most_pps: float,
    least_pps: float,
    most_seconds: float,
    on_trial: Callable[[Trial, Standing], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Bounds for all ``goals`` between two rates (pps, sum of all streams), in at most ``most_seconds`` by ``clock``.

    ``most_pps`` must be a rate that the generator can send: a trial at it comes first, and one that stays invalid ends
    the search. Goals of different trial lengths are searched for one after the other, the short ones first. Whatever
    ends it early (time, invalid trials, a device that makes no sense, Ctrl-C), the trials and the bounds they show are
    in the result. Raises BadInput for an empty range; errors of the device itself go through.
    """
    check_range(least_pps, most_pps)
    evidence = Evidence(device, most_seconds=most_seconds, clock=clock)
    own: dict[Goal, list[Trial]] = {each: [] for each in goals}
    running: list[Goal] = []

    def tell(trial: Trial) -> None:
        for each in running:
            own[each].append(trial)
        if on_trial:
            on_trial(trial, _standing(own, evidence, most_pps, least_pps))

    evidence.on_trial = tell
    with evidence.keeping():
        for group in _by_length(goals):
            running[:] = group
            _steer(evidence, running, most_pps, least_pps)
    found = []
    for each in goals:
        pointed = _pointed(bounds(each, own[each]), own[each], most_pps, least_pps)
        reason = evidence.reason
        if reason and pointed != (least_pps, most_pps):
            reason += f"; single trials point to between {pointed[0]:,.0f} and {pointed[1]:,.0f} pps"
        found.append(_explained(bounds(each, own[each], reason or WIDE), most_pps, least_pps))
    return SearchResult(tuple(found), tuple(evidence.trials), evidence.complete, evidence.reason)


def _by_length(goals: Sequence[Goal]) -> list[list[Goal]]:
    """The goals that can share trials, those of short trials first.

    In one search a trial of 60 s would count as 60 s for a goal of 1 s too: one stall in it would fail the whole
    minute, and the two goals, whose difference shows stalls, would come out the same.
    """
    lengths = sorted({each.final_seconds for each in goals})
    return [[each for each in goals if each.final_seconds == length] for length in lengths]


def _steer(evidence: Evidence, goals: Sequence[Goal], most_pps: float, least_pps: float) -> None:
    """Let MLRsearch run trials until it has what it wants. Raises Stop when it gives up."""
    from MLRsearch import Config, MultipleLossRatioSearch, SearchGoal

    wanted = [
        SearchGoal(
            loss_ratio=each.loss_ratio,
            exceed_ratio=each.exceed_ratio,
            relative_width=each.width,
            initial_trial_duration=each.initial_seconds,
            final_trial_duration=each.final_seconds,
            duration_sum=each.sum_seconds,
            fail_fast=False,  # else one goal without a lower bound would throw away all others
        )
        for each in goals
    ]
    streams = evidence.device.streams
    config = Config(
        goals=dict.fromkeys(wanted),  # two names for the same goal are one to search for
        min_load=least_pps / streams,
        max_load=most_pps / streams,
        search_duration_max=_UNLIMITED,
        warmup_duration=None,  # the device's own matter
    )
    measurer = _Measurer(evidence, goals)
    try:
        MultipleLossRatioSearch(config).search(measurer=measurer, debug=lambda _: None)
    except RuntimeError as trouble:
        if measurer.measuring:
            raise
        raise Stop(f"the device makes no sense: {trouble}") from trouble


@dataclass
class _Measurer:
    """Our trials as MLRsearch wants them: it thinks in rates per port, and judges by one count of sent and lost."""

    evidence: Evidence
    goals: Sequence[Goal]
    measuring: bool = field(default=False, init=False)

    def measure(self, intended_duration: float, intended_load: float) -> Any:
        from MLRsearch import MeasurementResult

        self.measuring = True
        pps = intended_load * self.evidence.device.streams
        trial = self.evidence.trial(pps, intended_duration, enough=self._decides)
        self.measuring = False
        worst = max(trial.streams, key=lambda stream: stream.failed_ratio)
        # Without intended_count: packets left unsent within the validity rules are not held against the device.
        return MeasurementResult(
            intended_duration=intended_duration,
            intended_load=intended_load,
            offered_count=worst.sent + worst.refused,
            loss_count=worst.lost + worst.refused,
        )

    def _decides(self, trial: Trial) -> bool:
        return all(verdict(each, trial) is not None for each in self.goals)


def _explained(found: Bounds, most_pps: float, least_pps: float) -> Bounds:
    """The bounds with the range's end as the reason why they are not narrow, where it is."""
    reason = found.reason
    if found.lower_pps is not None and found.lower_pps >= most_pps * (1 - 1e-9):
        reason = f"met at {found.lower_pps:,.0f} pps, the most that was offered"
    elif found.upper_pps is not None and found.upper_pps <= least_pps * (1 + 1e-9):
        reason = f"not met even at {found.upper_pps:,.0f} pps, the least that was offered"
    return replace(found, reason=reason)


def _pointed(found: Bounds, trials: Sequence[Trial], most_pps: float, least_pps: float) -> tuple[float, float]:
    """Between which rates trials of any length point to: above what met the goal, below the first to lose too much."""
    low, high = least_pps, most_pps
    for pps, at_rate in sorted(by_rate(trials).items()):
        proven = found.lower_pps is not None and pps <= found.lower_pps
        if not proven and any(judged_loss(trial) > found.goal.loss_ratio for trial in at_rate):
            high = pps
            break
        low = pps
    return low, high


def _standing(own: Mapping[Goal, Sequence[Trial]], evidence: Evidence, most_pps: float, least_pps: float) -> Standing:
    found = tuple(_explained(bounds(each, trials), most_pps, least_pps) for each, trials in own.items())
    traffic = sum(_seconds_left(each, own[each.goal], most_pps, least_pps) for each in found)
    # Teaching, draining and reading counters take time too: as much a second of traffic as up to now.
    spent = evidence.spent_seconds
    overhead = max(1.0, spent / sum(trial.intended_seconds for trial in evidence.trials))
    left = min(traffic * overhead, max(0.0, evidence.most_seconds - spent))
    return Standing(found, len(evidence.trials), spent, left)


def _seconds_left(found: Bounds, trials: Sequence[Trial], most_pps: float, least_pps: float) -> float:
    """Seconds of traffic until a goal's bounds are narrow, on a device that behaves.

    Each bound that is missing costs the seconds that settle it. Until then the range, as far as trials of any length
    point to it, is halved: with the full seconds the last time, fewer the time before, one short trial each earlier.
    """
    if found.narrow or found.reason:
        return 0.0
    wanted = found.goal
    to_meet = max(wanted.final_seconds, (1 - wanted.exceed_ratio) * wanted.sum_seconds)
    to_fail = max(wanted.final_seconds, wanted.exceed_ratio * wanted.sum_seconds)
    missing = (0.0 if found.lower_pps else to_meet) + (0.0 if found.upper_pps else to_fail)
    low, high = _pointed(found, trials, most_pps, least_pps)
    steps = math.ceil(math.log2(max(1.0, math.log(high / low) / -math.log1p(-wanted.width))))
    typical = (to_meet + to_fail) / 2
    costs = [typical, math.sqrt(typical * wanted.initial_seconds), *[wanted.initial_seconds] * max(0, steps - 2)]
    return missing + sum(costs[:steps])
