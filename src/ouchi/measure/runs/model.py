"""A run as values: what was measured on what, each trial in its place, the rates found and their summary."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ouchi.core.errors import Finding
from ouchi.measure.search.goals import Bounds
from ouchi.measure.search.trial import Trial

SCHEMA = 1
KIND = "bench"


@dataclass(frozen=True, slots=True)
class About:
    """What a run measures, and on what.

    ``began`` and ``ended`` are ISO times with a zone (``ended`` is empty until the end); ``path`` as in ``v2v``.
    ``labels`` are what must stand beside every figure, such as "emulated". The mappings are shown as they are.
    ``complete``: everything that was to be measured was.
    """

    name: str
    began: str
    path: str
    what: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    host: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    ended: str = ""
    complete: bool = False

    def to_json(self) -> dict[str, Any]:
        """All of it, with the version and kind of the file."""
        return {"schema": SCHEMA, "kind": KIND, **asdict(self), "labels": list(self.labels)}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A trial with the frame size (as asked for: ``64``, ``imix``) and the repeat (from 1) that it belongs to."""

    size: str
    repeat: int
    trial: Trial

    def to_json(self) -> dict[str, Any]:
        """A line of ``trials.ndjson``."""
        return {"size": self.size, "repeat": self.repeat, **self.trial.to_json()}


@dataclass(frozen=True, slots=True)
class LatencyPoint:
    """The trial (by its number) that measured latency at a ``fraction`` of the rate found for a goal."""

    fraction: float
    goal: str
    trial: int

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Result:
    """What one repeat found at one frame size."""

    size: str
    repeat: int
    bounds: tuple[Bounds, ...]
    latency: tuple[LatencyPoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "size": self.size,
            "repeat": self.repeat,
            "bounds": [bounds.to_json() for bounds in self.bounds],
            "latency": [point.to_json() for point in self.latency],
        }


@dataclass(frozen=True, slots=True)
class Beside:
    """Something measured beside the searches at a frame size (empty where none is its own), in a line.

    ``what`` was done, at which rate or with which outcome (``pps``, sum of all streams; None where packets are not
    what was counted), ``said`` in words, and the same in ``figures``.
    """

    size: str
    what: str
    pps: float | None
    said: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Summary:
    """The rate found for a goal at a frame size over ``n`` repeats (pps, sum of all streams; None: none was found).

    ``noise`` is the share of the median by which repeats differ; None when that cannot be told.
    """

    size: str
    goal: str
    median_pps: float | None
    low_pps: float | None
    high_pps: float | None
    n: int
    noise: float | None

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its folder tells it. ``notes`` are warnings about what was passed over in reading."""

    about: About
    trials: tuple[Recorded, ...]
    results: tuple[Result, ...] = ()
    summary: tuple[Summary, ...] = ()
    beside: tuple[Beside, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def sizes(self) -> tuple[str, ...]:
        """The frame sizes in the order in which they were measured."""
        return tuple(dict.fromkeys(recorded.size for recorded in self.trials))

    def of_size(self, size: str) -> tuple[Recorded, ...]:
        """The trials of a frame size."""
        return tuple(recorded for recorded in self.trials if recorded.size == size)

    def to_json(self) -> dict[str, Any]:
        """The whole folder as one document."""
        return {
            "schema": SCHEMA,
            "run": self.about.to_json(),
            "summary": [row.to_json() for row in self.summary],
            "results": [result.to_json() for result in self.results],
            "beside": [row.to_json() for row in self.beside],
            "trials": [recorded.to_json() for recorded in self.trials],
            "notes": [note.to_json() for note in self.notes],
        }


def summarise(results: Iterable[Result]) -> tuple[Summary, ...]:
    """The lower bounds of the repeats by size and goal, as measured: median, range and their spread over the median.

    ``n`` counts the repeats in which a rate was found.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for result in results:
        for bounds in result.bounds:
            rates = found.setdefault((result.size, bounds.goal.name), [])
            if bounds.lower_pps is not None:
                rates.append(bounds.lower_pps)
    return tuple(_summary(size, goal, rates) for (size, goal), rates in found.items())


def _summary(size: str, goal: str, rates: list[float]) -> Summary:
    if not rates:
        return Summary(size, goal, None, None, None, 0, None)
    median, low, high = statistics.median(rates), min(rates), max(rates)
    return Summary(size, goal, median, low, high, len(rates), (high - low) / median if len(rates) > 1 else None)
