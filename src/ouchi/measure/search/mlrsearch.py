"""Search for several goals at once by MLRsearch (PyPI ``MLRsearch``, by FD.io CSIT).

MLRsearch raises when it runs out of time or the device behaves inconsistently, and loses its result. So it only
selects the trials; the bounds are computed from them by :func:`ouchi.measure.search.goals.bounds`, which is the same
rule and gives the same figures when MLRsearch finishes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ouchi.measure.search.evidence import INTERRUPTED, Device, Evidence, SearchStopped, check_range
from ouchi.measure.search.goals import Bounds, Goal, bounds, by_rate, judged_loss, verdict
from ouchi.measure.search.trial import Trial

WIDE = "some trials count against their rates only, which MLRsearch does not take into account"
"""Why a finished search may have wide bounds."""
_UNLIMITED = 1e9
"""Seconds: disables MLRsearch's own limit; :class:`Evidence` knows the length of a trial before it starts."""


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """Bounds after a trial; ``left_seconds`` is an estimate, at most what the time limit leaves."""

    bounds: tuple[Bounds, ...]
    left_seconds: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The bounds of each goal, in order, all trials, and the reason why it ended early; empty when it did not."""

    bounds: tuple[Bounds, ...]
    trials: tuple[Trial, ...]
    reason: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped it."""
        return self.reason == INTERRUPTED


def mlrsearch(
    device: Device,
    goals: Sequence[Goal],
    *,
    max_pps: float,
    min_pps: float,
    max_seconds: float,
    on_trial: Callable[[Trial, SearchProgress], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Bounds for all ``goals`` between two rates (pps, sum of all streams), in at most ``max_seconds`` by ``clock``.

    ``max_pps`` must be a rate that the generator can send: the first trial is at it, and the search ends when it stays
    invalid. Goals with different trial lengths are searched for one after the other, short ones first. A search that
    ends early (time limit, invalid trials, an inconsistent device, Ctrl-C) returns its trials and their bounds. Raises
    BadInput for an empty range; exceptions of the device are passed on.
    """
    check_range(min_pps, max_pps)
    evidence = Evidence(device, max_seconds=max_seconds, clock=clock)
    own: dict[Goal, list[Trial]] = {each: [] for each in goals}
    running: list[Goal] = []

    def record(trial: Trial) -> None:
        for each in running:
            own[each].append(trial)
        if on_trial:
            on_trial(trial, _search_progress(own, evidence, max_pps, min_pps))

    evidence.on_trial = record
    with evidence.until_stopped():
        for group in _by_length(goals):
            running[:] = group
            _steer(evidence, running, max_pps, min_pps)
    found = []
    for each in goals:
        indicated = _indicated_range(bounds(each, own[each]), own[each], max_pps, min_pps)
        reason = evidence.reason
        if reason and indicated != (min_pps, max_pps):
            reason += f"; single trials indicate between {indicated[0]:,.0f} and {indicated[1]:,.0f} pps"
        found.append(bounds(each, own[each], reason or WIDE).with_range_limit(min_pps, max_pps))
    return SearchResult(tuple(found), tuple(evidence.trials), evidence.reason)


def _by_length(goals: Sequence[Goal]) -> list[list[Goal]]:
    """The goals that can share trials, short trials first.

    In a common search a trial of 60 s would also count for a goal of 1 s: one stall would fail the whole minute, and the
    difference between the two goals, which shows stalls, would vanish.
    """
    lengths = sorted({each.final_seconds for each in goals})
    return [[each for each in goals if each.final_seconds == length] for length in lengths]


def _steer(evidence: Evidence, goals: Sequence[Goal], max_pps: float, min_pps: float) -> None:
    """Run the trials that MLRsearch selects. Raises SearchStopped when it fails."""
    from MLRsearch import Config, MultipleLossRatioSearch, SearchGoal

    search_goals = [
        SearchGoal(
            loss_ratio=each.loss_ratio,
            exceed_ratio=each.exceed_ratio,
            relative_width=each.width,
            initial_trial_duration=each.initial_seconds,
            final_trial_duration=each.final_seconds,
            duration_sum=each.sum_seconds,
            fail_fast=False,  # one goal without a lower bound must not discard the others
        )
        for each in goals
    ]
    streams = evidence.device.streams
    config = Config(
        goals=dict.fromkeys(search_goals),  # equal goals with different names are one
        min_load=min_pps / streams,
        max_load=max_pps / streams,
        search_duration_max=_UNLIMITED,
        warmup_duration=None,  # the path was warmed up before
    )
    measurer = _Measurer(evidence, goals)
    try:
        MultipleLossRatioSearch(config).search(measurer=measurer, debug=lambda _: None)
    except RuntimeError as reason:
        if measurer.measuring:
            raise
        raise SearchStopped(f"the device behaves inconsistently: {reason}") from reason


@dataclass
class _Measurer:
    """Adapts trials to MLRsearch, which uses rates per port and one count of sent and lost frames."""

    evidence: Evidence
    goals: Sequence[Goal]
    measuring: bool = field(default=False, init=False)

    def measure(self, intended_duration: float, intended_load: float) -> Any:
        from MLRsearch import MeasurementResult

        self.measuring = True
        pps = intended_load * self.evidence.device.streams
        trial = self.evidence.trial(pps, intended_duration, accept=self._decides)
        self.measuring = False
        worst = max(trial.streams, key=lambda stream: stream.failed_ratio)
        # Without intended_count: frames unsent within the validity rules do not count against the device.
        return MeasurementResult(
            intended_duration=intended_duration,
            intended_load=intended_load,
            offered_count=worst.sent + worst.tx_backpressure,
            loss_count=worst.lost + worst.tx_backpressure,
        )

    def _decides(self, trial: Trial) -> bool:
        return all(verdict(each, trial) is not None for each in self.goals)


def _indicated_range(found: Bounds, trials: Sequence[Trial], max_pps: float, min_pps: float) -> tuple[float, float]:
    """The range indicated by trials of any length: above what met the goal, below the first rate with too much loss."""
    low, high = min_pps, max_pps
    for pps, at_rate in sorted(by_rate(trials).items()):
        proven = found.lower_pps is not None and pps <= found.lower_pps
        if not proven and any(judged_loss(trial) > found.goal.loss_ratio for trial in at_rate):
            high = pps
            break
        low = pps
    return low, high


def _search_progress(
    own: Mapping[Goal, Sequence[Trial]], evidence: Evidence, max_pps: float, min_pps: float
) -> SearchProgress:
    found = tuple(bounds(each, trials).with_range_limit(min_pps, max_pps) for each, trials in own.items())
    traffic = sum(_seconds_left(each, own[each.goal], max_pps, min_pps) for each in found)
    # Draining and reading counters take time too: assume as much per second of traffic as so far.
    spent = evidence.spent_seconds
    overhead = max(1.0, spent / sum(trial.intended_seconds for trial in evidence.trials))
    left = min(traffic * overhead, max(0.0, evidence.max_seconds - spent))
    return SearchProgress(found, left)


def _seconds_left(found: Bounds, trials: Sequence[Trial], max_pps: float, min_pps: float) -> float:
    """Estimated seconds of traffic until a goal's bounds are narrow, on a consistent device.

    Each missing bound costs the seconds that decide it. Before, the indicated range is halved step by step: the last
    step with full trials, the one before with fewer seconds, earlier ones with a single short trial.
    """
    if found.narrow or found.reason:
        return 0.0
    goal = found.goal
    to_meet = max(goal.final_seconds, (1 - goal.exceed_ratio) * goal.sum_seconds)
    to_fail = max(goal.final_seconds, goal.exceed_ratio * goal.sum_seconds)
    missing = (0.0 if found.lower_pps else to_meet) + (0.0 if found.upper_pps else to_fail)
    low, high = _indicated_range(found, trials, max_pps, min_pps)
    steps = math.ceil(math.log2(max(1.0, math.log(high / low) / -math.log1p(-goal.width))))
    typical = (to_meet + to_fail) / 2
    costs = [typical, math.sqrt(typical * goal.initial_seconds), *[goal.initial_seconds] * max(0, steps - 2)]
    return missing + sum(costs[:steps])
