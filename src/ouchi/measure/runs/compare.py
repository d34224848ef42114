"""Is one set of repeats faster than another, or is that noise?

The Mann-Whitney test in its exact form, ties included, so that it is right for the three to twenty repeats that people
run, and for figures that a search rounds to the same value. The ratio is Hodges and Lehmann's: the median of all
pairwise ratios, with the confidence interval that belongs to the test (Moses). Nothing is assumed about how the
figures are distributed, and nothing is drawn at random.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ouchi.core.errors import BadInput, Finding, error
from ouchi.measure.search.validity import unequal_sizes

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Sample:
    """The repeats of one run: ``values`` in pps, more being better, of frames of ``size`` (as named in the run).

    ``labels`` are what must agree for a comparison to mean anything: the path, the goal, the streams, and whatever
    marks the machine (shared cores, emulation).
    """

    name: str
    size: str
    values: tuple[float, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """pps."""
        return statistics.median(self.values)

    @property
    def noise(self) -> float:
        """The spread of the repeats: highest less lowest over the median."""
        return (max(self.values) - min(self.values)) / self.median


@dataclass(frozen=True, slots=True)
class Comparison:
    """``after`` against ``before``: the ratio, its interval of :data:`CONFIDENCE`, and what can be said.

    ``p`` is the chance of a difference at least as great between repeats of the same thing. ``noise`` is the larger
    spread of the two. ``direction`` is "faster", "slower" or "" when no difference can be shown.
    """

    before: str
    after: str
    ratio: float
    low: float
    high: float
    p: float
    noise: float
    direction: str
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """All of it; an interval without an end has null there."""
        return {key: None if value == math.inf else value for key, value in asdict(self).items()}


def compare(before: Sample, after: Sample) -> Comparison:
    """Whether ``after`` is faster or slower than ``before``.

    Raises BadInput, with all reasons, when the two are not of the same kind or a value is not above zero.
    """
    _check(before, after)
    p = mann_whitney(before.values, after.values)
    ratio, low, high = ratio_interval(before.values, after.values)
    # The direction that the test itself saw: of all pairs, which side is ahead in more.
    ahead = sum((b > a) - (b < a) for a in before.values for b in after.values)
    direction = ("faster" if ahead > 0 else "slower") if p <= 1 - CONFIDENCE else ""
    noise = max(before.noise, after.noise)
    verdict = _verdict(before, after, direction, ratio, low, high, p, noise)
    return Comparison(before.name, after.name, ratio, low, high, p, noise, direction, verdict)


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the exact Mann-Whitney test, given the ties: the share of all divisions as uneven as this one."""
    ranks = _doubled_midranks([*first, *second])
    n, total = len(first), sum(ranks)
    # Ways to choose k of the values with ranks that sum to s, value after value.
    ways: list[dict[int, int]] = [{0: 1}, *({} for _ in range(n))]
    for rank in ranks:
        for k in range(n - 1, -1, -1):
            for s, count in ways[k].items():
                ways[k + 1][s + rank] = ways[k + 1].get(s + rank, 0) + count
    # Distances from the middle, times the number of values to stay whole.
    middle = n * total
    seen = abs(sum(ranks[:n]) * len(ranks) - middle)
    as_uneven = sum(count for s, count in ways[n].items() if abs(s * len(ranks) - middle) >= seen)
    return as_uneven / math.comb(len(ranks), n)


def ratio_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Median of all ratios second/first and its interval of :data:`CONFIDENCE`.

    With too few repeats for that confidence the interval is everything: 0 to infinity.
    """
    ratios = sorted(b / a for a in first for b in second)
    skip = _skipped(len(first), len(second))
    low, high = (0.0, math.inf) if skip is None else (ratios[skip], ratios[-1 - skip])
    return statistics.median(ratios), low, high


def _skipped(n: int, m: int) -> int | None:
    """How many ratios to leave out at each end: the largest k with P(U ≤ k) ≤ half of what is not confidence."""
    # Frequencies of U for k of the first and the values so far of the second (the usual recurrence).
    table: dict[tuple[int, int], list[int]] = {}
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 or j == 0:
                table[i, j] = [1]
                continue
            counts = [0] * (i * j + 1)
            for u, count in enumerate(table[i - 1, j]):
                counts[u + j] += count
            for u, count in enumerate(table[i, j - 1]):
                counts[u] += count
            table[i, j] = counts
    allowed, below = (1 - CONFIDENCE) / 2 * math.comb(n + m, n), 0
    for u, count in enumerate(table[n, m]):
        below += count
        if below > allowed:
            return u - 1 if u > 0 else None
    return None


def _doubled_midranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, equal ones sharing the mean of theirs; doubled to be whole."""
    return [
        sum(other < value for other in values) * 2 + sum(other == value for other in values) + 1 for value in values
    ]


def _check(before: Sample, after: Sample) -> None:
    differences = list(unequal_sizes((before.size, after.size)))
    for key in sorted({*before.labels, *after.labels}):
        one, other = before.labels.get(key, "none"), after.labels.get(key, "none")
        if one != other:
            differences.append(f"{key}: {one} and {other}")
    where, expected = f"{before.name}, {after.name}", "the same in both"
    found: list[Finding] = [
        error("the two cannot be compared", where=where, found=difference, expected=expected)
        for difference in differences
    ]
    for sample in (before, after):
        if not sample.values or not all(0 < value < math.inf for value in sample.values):
            values = ", ".join(f"{value:g}" for value in sample.values) or "no repeats"
            found.append(error("no rates to compare", where=sample.name, found=values, expected="rates above zero"))
    if found:
        raise BadInput(found)


def _verdict(
    before: Sample, after: Sample, direction: str, ratio: float, low: float, high: float, p: float, noise: float
) -> str:
    repeats = f"{len(before.values)} and {len(after.values)} repeats"
    spread = f"repeats spread by {noise:.1%}"
    if direction:
        change = f"{after.name} is {direction} than {before.name} by {abs(ratio - 1):.1%}"
        return f"{change} (between {low - 1:+.1%} and {high - 1:+.1%}, p = {p:.2g}; {repeats}, {spread})"
    least = 2 / math.comb(len(before.values) + len(after.values), len(before.values))
    if least > 1 - CONFIDENCE:
        return f"no difference can be shown with {repeats}, whatever they are: run at least 4 of each ({spread})"
    interval = f"between {low - 1:+.1%} and {high - 1:+.1%}"
    return f"no difference can be shown: {ratio - 1:+.1%}, {interval} (p = {p:.2g}; {repeats}, {spread})"
