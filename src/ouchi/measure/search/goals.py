"""What a search looks for, and the rule by which trials bound it.

The rule is the load classification of draft-ietf-bmwg-mlrsearch. It needs nothing but the trials, so bounds can be
told at any moment of a search, after one that was cut short, and from a recorded run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ouchi.measure.search.trial import Trial


@dataclass(frozen=True, slots=True)
class Goal:
    """A rate to look for: the highest at which trials lose no more than ``loss_ratio``.

    Trials of ``final_seconds`` count in full, shorter ones (from ``initial_seconds``) only point the way.
    ``sum_seconds`` of trials are needed at a rate, of which the share ``exceed_ratio`` may lose more. The search ends
    when the bounds are within ``width`` of the upper one; a width below the loss ratio makes no sense.
    """

    name: str
    loss_ratio: float
    final_seconds: float
    sum_seconds: float
    exceed_ratio: float = 0.5
    width: float = 0.005
    initial_seconds: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Goal:
        """What :meth:`to_json` gave."""
        return cls(**value)


NDR = Goal("NDR", 0.0, 1.0, 21.0)
"""No-drop rate as FD.io CSIT defines it: 21 trials of 1 s, half of which may lose packets."""
PDR = Goal("PDR", 0.005, 1.0, 21.0)
"""Partial-drop rate as FD.io CSIT defines it: 0.5 %."""
RFC2544 = Goal("RFC 2544", 0.0, 60.0, 60.0, exceed_ratio=0.0)
"""Throughput of RFC 2544 §26.1 with the trial time of its §24: one trial of 60 s without a single loss."""
TST009 = Goal("TST 009", 0.0, 60.0, 120.0)
"""ETSI GS NFV-TST 009 §12.3.3 for one repetition and any loss: one of two trials of 60 s without loss is enough."""


def goal(loss_ratio: float) -> Goal:
    """A partial-drop rate of any loss ratio (0 ≤ ratio < 1), by trials of 1 s like :data:`PDR`."""
    return Goal(f"PDR {loss_ratio * 100:g} %", loss_ratio, 1.0, 21.0, width=max(0.005, loss_ratio))


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which rates (pps, sum of all streams) a goal lies.

    ``lower_pps`` was shown to meet the goal, ``upper_pps`` not to; None where no rate was. ``conditional_pps`` is what
    was received at the lower bound (the rate less the loss there). ``reason`` says why the bounds are not within the
    goal's width; empty when they are.
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
        # A hair of room: a search steps by exactly the width in floating point.
        return self.upper_pps - self.lower_pps <= self.goal.width * self.upper_pps * (1 + 1e-9)

    def to_json(self) -> dict[str, Any]:
        """All of it, the goal as an object."""
        return {
            "goal": self.goal.to_json(),
            "lower_pps": self.lower_pps,
            "upper_pps": self.upper_pps,
            "conditional_pps": self.conditional_pps,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Bounds:
        """What :meth:`to_json` gave."""
        rates = (value["lower_pps"], value["upper_pps"], value["conditional_pps"])
        return cls(Goal.from_json(value["goal"]), *rates, value["reason"])


def judged_loss(trial: Trial) -> float:
    """The loss ratio that a trial is judged by: that of its worst stream, each direction by itself.

    A path that refuses a packet for want of room carries its rate no more than one that loses it: FD.io CSIT, too,
    holds packets that could not be sent against the rate.
    """
    return max((stream.failed_ratio for stream in trial.streams), default=1.0)


def verdict(goal: Goal, trial: Trial) -> bool | None:
    """Whether a trial lost no more than ``goal`` allows; None when it proves nothing about that.

    Where the generator may have lost something itself, the trial still counts when that makes no difference; where it
    offered too little, only what was lost nevertheless does.
    """
    if trial.problems:
        return None
    if judged_loss(trial) <= goal.loss_ratio:
        return None if trial.shortfalls else True
    certain = max((stream.certain_ratio for stream in trial.streams), default=1.0)
    return False if certain > goal.loss_ratio else None


def meets(goal: Goal, trials: Iterable[Trial]) -> bool | None:
    """Whether trials at one rate show that it meets ``goal``; None when more are needed.

    The rate meets the goal when even losing all that is still missing to ``sum_seconds`` would keep the bad share
    within ``exceed_ratio``; it does not when even losing nothing more would not. Short trials count only when bad,
    and only as far as short good ones do not make up for them.
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
    """The bounds that ``trials`` show: the upper is the lowest rate that fails, the lower the highest that meets below it.

    Rates above one that fails are not believed, however good: the figure is the conservative one. ``reason`` is
    given on unless the bounds are narrow.
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
    """The trials that prove anything, by the rate asked for."""
    rates: dict[float, list[Trial]] = {}
    for trial in trials:
        if not trial.problems:
            rates.setdefault(trial.intended_pps, []).append(trial)
    return rates


def _typical_loss(goal: Goal, trials: Sequence[Trial]) -> float:
    """The loss ratio that the share ``1 - exceed_ratio`` of the long trials' seconds keeps to; missing seconds lose all."""
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
