"""Search goals, and the rule by which trials bound them.

The rule is the load classification of draft-ietf-bmwg-mlrsearch. It depends on the trials only, so bounds can be
computed at any time during a search, after an incomplete one, and from a recorded run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ouchi.measure.search.trial import Trial


@dataclass(frozen=True, slots=True)
class Goal:
    """The highest rate at which trials lose no more than ``loss_ratio``.

    Trials of ``final_seconds`` count in full; shorter ones (from ``initial_seconds``) only guide the search. A rate
    needs ``sum_seconds`` of trials, of which the share ``exceed_ratio`` may lose more. The search ends when the bounds
    are within ``width`` of the upper one (at least the loss ratio).
    """

    name: str
    loss_ratio: float
    final_seconds: float
    sum_seconds: float
    exceed_ratio: float = 0.5
    width: float = 0.005
    initial_seconds: float = 1.0


NDR = Goal("NDR", 0.0, 1.0, 21.0)
"""No-drop rate as FD.io CSIT defines it: 21 trials of 1 s, half of which may lose packets."""
PDR = Goal("PDR", 0.005, 1.0, 21.0)
"""Partial-drop rate as FD.io CSIT defines it: 0.5 %."""
RFC2544 = Goal("RFC 2544", 0.0, 60.0, 60.0, exceed_ratio=0.0)
"""Throughput of RFC 2544 §26.1 with the trial time of its §24: one trial of 60 s without a single loss."""
TST009 = Goal("TST 009", 0.0, 60.0, 120.0)
"""ETSI GS NFV-TST 009 §12.3.3 for one repetition and any loss: one of two trials of 60 s without loss is enough."""

NAMED_GOALS = {"ndr": NDR, "pdr": PDR, "rfc2544": RFC2544, "tst009": TST009}
"""By the names of ``--goal``."""


def partial_drop_goal(loss_ratio: float) -> Goal:
    """A partial-drop rate of any loss ratio (0 ≤ ratio < 1), by trials of 1 s like :data:`PDR`."""
    return Goal(f"PDR {loss_ratio * 100:g} %", loss_ratio, 1.0, 21.0, width=max(0.005, loss_ratio))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a goal (pps, sum of all streams).

    ``lower_pps`` meets the goal, ``upper_pps`` does not; None where no such rate was found. ``conditional_pps``: the
    rate received at the lower bound. ``reason``: why the bounds are not within the goal's width; empty when they are.
    """

    goal: Goal
    lower_pps: float | None
    upper_pps: float | None
    conditional_pps: float | None
    reason: str = ""

    @property
    def narrow(self) -> bool:
        """Whether both bounds are known and within the goal's width."""
        if self.lower_pps is None or self.upper_pps is None:
            return False
        # Searches step by exactly the width: allow for floating point rounding.
        return self.upper_pps - self.lower_pps <= self.goal.width * self.upper_pps * (1 + 1e-9)

    def with_range_limit(self, min_pps: float, max_pps: float) -> Bounds:
        """The bounds, with the end of the range that was searched as their reason where it limits them."""
        if self.lower_pps is not None and self.lower_pps >= max_pps * (1 - 1e-9):
            return replace(self, reason=f"met at {self.lower_pps:,.0f} pps, the maximum offered")
        if self.upper_pps is not None and self.upper_pps <= min_pps * (1 + 1e-9):
            return replace(self, reason=f"not met even at {self.upper_pps:,.0f} pps, the minimum offered")
        return self


def judged_loss(trial: Trial) -> float:
    """The loss ratio by which a trial is judged: of its worst stream, TX backpressure included.

    Frames that a path does not accept count against the rate like lost ones, as in FD.io CSIT.
    """
    return max((stream.failed_ratio for stream in trial.streams), default=1.0)


def verdict(goal: Goal, trial: Trial) -> bool | None:
    """Whether a trial lost no more than ``goal`` allows; None when it is no evidence.

    A trial with suspected loss in the tester counts where that loss makes no difference; an under-offered trial counts
    only against its rate.
    """
    if trial.invalid:
        return None
    if judged_loss(trial) <= goal.loss_ratio:
        return None if trial.under_offered else True
    certain = max((stream.certain_failed_ratio for stream in trial.streams), default=1.0)
    return False if certain > goal.loss_ratio else None


def meets(goal: Goal, trials: Iterable[Trial]) -> bool | None:
    """Whether trials at one rate show that it meets ``goal``; None when more are needed.

    The rate meets the goal when the share of bad seconds stays within ``exceed_ratio`` even if all seconds still missing
    to ``sum_seconds`` were bad; it fails when it exceeds it even if they were all good. Short trials count only when
    bad, and only beyond what short good ones excuse.
    """
    long, short = {True: 0.0, False: 0.0}, {True: 0.0, False: 0.0}
    for trial in trials:
        good = verdict(goal, trial)
        if good is not None:
            seconds = long if trial.intended_seconds >= goal.final_seconds else short
            seconds[good] += trial.intended_seconds
    excused = short[True] * goal.exceed_ratio / (1 - goal.exceed_ratio)
    bad = long[False] + max(0.0, short[False] - excused)
    whole = max(goal.sum_seconds, long[True] + bad)
    at_best, at_worst = bad, whole - long[True]
    allowed = whole * goal.exceed_ratio
    if at_worst <= allowed:
        return True
    return None if at_best <= allowed else False


def bounds(goal: Goal, trials: Iterable[Trial], reason: str = "") -> Bounds:
    """The bounds by ``trials``: the upper is the lowest rate that fails, the lower the highest that passes below it.

    Rates above a failing one are ignored, so the bounds are conservative. ``reason`` is dropped when they are narrow.
    """
    lower = upper = conditional = None
    for pps, at_rate in sorted(by_rate(trials).items()):
        verdict = meets(goal, at_rate)
        if verdict is False:
            upper = pps
            break
        if verdict:
            lower, conditional = pps, pps * (1 - _typical_loss(goal, at_rate))
    found = Bounds(goal, lower, upper, conditional, reason)
    return Bounds(goal, lower, upper, conditional) if found.narrow else found


def by_rate(trials: Iterable[Trial]) -> dict[float, list[Trial]]:
    """The trials that are not invalid, by intended rate."""
    rates: dict[float, list[Trial]] = {}
    for trial in trials:
        if not trial.invalid:
            rates.setdefault(trial.intended_pps, []).append(trial)
    return rates


def _typical_loss(goal: Goal, trials: Sequence[Trial]) -> float:
    """The loss ratio not exceeded in the share ``1 - exceed_ratio`` of the long trials' seconds; missing seconds lose all."""
    losses = sorted(
        (judged_loss(trial), trial.intended_seconds)
        for trial in trials
        if trial.intended_seconds >= goal.final_seconds and verdict(goal, trial) is not None
    )
    whole = max(goal.sum_seconds, sum(seconds for _, seconds in losses))
    remaining = whole * (1 - goal.exceed_ratio)
    for loss, seconds in losses:
        remaining -= seconds
        if remaining <= 0:
            return loss
    return 1.0
