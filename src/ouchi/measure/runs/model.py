"""A run as values: what was measured on what, every trial, the rates found and their summary."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ouchi.core.errors import Finding, warning
from ouchi.measure.search.goals import Bounds
from ouchi.measure.search.trial import Trial

SCHEMA = 3


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run measures, and on what: ``run.json``.

    ``started`` and ``ended`` are ISO times with a zone (``ended`` is empty until then); ``path`` as in ``v2v``;
    ``labels`` qualify every figure, such as "emulated". The mappings are shown as they are. ``complete``: everything
    requested was measured.
    """

    name: str
    started: str
    path: str
    request: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    ended: str = ""
    complete: bool = False
    schema: Literal[3] = 3
    kind: Literal["bench"] = "bench"


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A trial with its frame size (as requested: ``64``, ``imix``) and repeat (from 1): a line of ``trials.ndjson``."""

    size: str
    repeat: int
    trial: Trial


@dataclass(frozen=True, slots=True)
class LatencyPoint:
    """The trial (by its number) that measured latency at a ``fraction`` of the rate found for a goal."""

    fraction: float
    goal: str
    trial: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one repeat found at one frame size."""

    size: str
    repeat: int
    bounds: tuple[Bounds, ...]
    latency: tuple[LatencyPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtraResult:
    """A result besides the searches, in a line; ``size`` is empty where it belongs to no frame size.

    ``name``: of the test; ``pps``: its rate (sum of all streams; None where it has no packet rate); ``text``: the
    result in words, and ``figures`` the same as numbers.
    """

    size: str
    name: str
    pps: float | None
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """The rate found for a goal at a frame size over ``n`` repeats (pps, sum of all streams; None: none was found).

    ``noise``: the range of the repeats over their median; None for fewer than two.
    """

    size: str
    goal: str
    median_pps: float | None
    low_pps: float | None
    high_pps: float | None
    n: int
    noise: float | None


@dataclass(frozen=True, slots=True)
class Results:
    """``results.json``: the rates found, their summary, and results besides the searches."""

    results: tuple[Result, ...] = ()
    summary: tuple[Summary, ...] = ()
    extras: tuple[ExtraResult, ...] = ()
    schema: Literal[3] = 3


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run, as read from its folder. ``notes`` are warnings about what could not be read."""

    info: RunInfo
    trials: tuple[TrialRecord, ...]
    results: tuple[Result, ...] = ()
    summary: tuple[Summary, ...] = ()
    extras: tuple[ExtraResult, ...] = ()
    notes: tuple[Finding, ...] = ()
    folder: str = ""

    @property
    def sizes(self) -> tuple[str, ...]:
        """The frame sizes in the order in which they were measured."""
        return tuple(dict.fromkeys(record.size for record in self.trials))

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The notes, and why repeats found no rate."""
        return (*self.notes, *without_rate(self.results).values())

    def of_size(self, size: str) -> tuple[TrialRecord, ...]:
        """The trials of a frame size."""
        return tuple(record for record in self.trials if record.size == size)


def summarise(results: Iterable[Result]) -> tuple[Summary, ...]:
    """Median, range and noise of the lower bounds of the repeats, by size and goal.

    ``n`` counts the repeats in which a rate was found.
    """
    return tuple(_summary(size, goal, rates) for (size, goal), rates in lower_bounds(results).items())


def lower_bounds(results: Iterable[Result]) -> dict[tuple[str, str], list[float]]:
    """The rates found (pps) by size and goal, a list of one for each repeat that found one."""
    found: dict[tuple[str, str], list[float]] = {}
    for result in results:
        for bounds in result.bounds:
            rates = found.setdefault((result.size, bounds.goal.name), [])
            if bounds.lower_pps is not None:
                rates.append(bounds.lower_pps)
    return found


def without_rate(results: Iterable[Result]) -> dict[tuple[str, str], Finding]:
    """By size and goal, why repeats found no rate; nothing where all of them found one."""
    reasons: dict[tuple[str, str], list[str]] = {}
    repeats: Counter[tuple[str, str]] = Counter()
    for result in results:
        for bounds in result.bounds:
            key = result.size, bounds.goal.name
            repeats[key] += 1
            if bounds.lower_pps is None:
                reasons.setdefault(key, []).append(bounds.reason or "the search ended before a rate met the goal")
    return {
        (size, goal): warning(
            f"{size}{' B' if size.isdigit() else ''}, {goal}: no rate was found in {len(found)} of {repeats[size, goal]} repeats",
            found="; ".join(dict.fromkeys(found)),
            expected="a rate that meets the goal",
        )
        for (size, goal), found in reasons.items()
    }


def _summary(size: str, goal: str, rates: list[float]) -> Summary:
    if not rates:
        return Summary(size, goal, None, None, None, 0, None)
    median, low, high = statistics.median(rates), min(rates), max(rates)
    return Summary(size, goal, median, low, high, len(rates), (high - low) / median if len(rates) > 1 else None)
