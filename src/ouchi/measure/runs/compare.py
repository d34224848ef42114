"""Whether the difference between two sets of repeats is significant.

The Mann-Whitney test with ties, exact for the usual three to twenty repeats and valid for figures that a search rounds
to equal values; with more repeats its normal approximation, as the exact one takes their number to the fifth power. The ratio is the Hodges-Lehmann estimate, the median of all pairwise ratios, with the test's confidence
interval (Moses). No distribution is assumed, and no random numbers are used. scipy would be 35 MB for these functions.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

from ouchi.core.errors import BadInput, Finding, error
from ouchi.measure.runs.model import Run, lower_bounds, without_rate

CONFIDENCE = 0.95
MOST_EXACT = 2_000_000
"""Additions up to which the test is exact: some 0.1 s, for 30 repeats of each, or one against a thousand."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The repeats of one run: ``values`` in pps.

    ``labels`` must be equal in both for a valid comparison: path, goal, frame size (packet and bit rates of different
    sizes have no meaningful ratio), streams, and labels such as emulation.
    """

    name: str
    values: tuple[float, ...]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def noise(self) -> float:
        """The range of the repeats over their median."""
        return (max(self.values) - min(self.values)) / statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``after`` against ``before``: the ratio, its interval of :data:`CONFIDENCE`, and the verdict.

    ``high`` is None without an upper end. ``p``: the probability of such a difference between repeats of the same.
    ``noise``: the larger noise of the two. ``direction``: "faster", "slower", or "" for no significant difference.
    """

    before: str
    after: str
    ratio: float
    low: float
    high: float | None
    p: float
    noise: float
    direction: str
    verdict: str


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A comparison at a frame size and for a goal."""

    size: str
    goal: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """Two runs by their folders, compared at every frame size and goal that both have."""

    before: str
    after: str
    rows: tuple[ComparisonRow, ...]
    schema: Literal[1] = 1


def compare(before: Sample, after: Sample) -> Comparison:
    """Whether ``after`` is faster or slower than ``before``.

    Raises BadInput with all reasons when the two are not comparable or a value is not above zero.
    """
    _check(before, after)
    p = mann_whitney(before.values, after.values)
    ratio, low, high = ratio_interval(before.values, after.values)
    # The direction by the test's own statistic: the side that is ahead in more pairs.
    ahead = sum((b > a) - (b < a) for a in before.values for b in after.values)
    direction = ("faster" if ahead > 0 else "slower") if p <= 1 - CONFIDENCE else ""
    noise = max(before.noise, after.noise)
    sizes = len(before.values), len(after.values)
    repeats, spread = "{} and {} repeats".format(*sizes), f"noise {noise:.1%}"
    interval = f"between {low - 1:+.1%} and {high - 1:+.1%}"
    if direction:
        verdict = f"{after.name} is {direction} than {before.name} by {abs(ratio - 1):.1%}"
        verdict += f" ({interval}, p = {p:.2g}; {repeats}, {spread})"
    elif 2 / math.comb(sum(sizes), sizes[0]) > 1 - CONFIDENCE:  # the least p that there can be
        verdict = f"{repeats} are too few to show any difference: run at least 4 of each ({spread})"
    else:
        verdict = f"no significant difference: {ratio - 1:+.1%}, {interval} (p = {p:.2g}; {repeats}, {spread})"
    return Comparison(
        before.name, after.name, ratio, low, high if high < math.inf else None, p, noise, direction, verdict
    )


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the Mann-Whitney test with ties: the share of divisions at least as uneven as this one.

    Exact up to :data:`MOST_EXACT` additions; beyond, by the normal approximation with corrections for ties and continuity
    (Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, section 4.1).
    """
    first, second = sorted((first, second), key=len)  # the fewer ways to choose; the test is symmetric
    values = [*first, *second]
    ranks = _doubled_midranks(values)
    n, total = len(first), len(ranks)
    # Distances from the mean, multiplied by the number of values to stay integers.
    middle = n * sum(ranks)
    seen = abs(sum(ranks[:n]) * total - middle)
    if _additions(n, total - n) <= MOST_EXACT:
        sums = _rank_sums(ranks, n)
        as_uneven = sum(count for s, count in sums.items() if abs(s * total - middle) >= seen)
        return as_uneven / math.comb(total, n)
    ties = sum(count**3 - count for count in Counter(values).values()) / (total * (total - 1))
    deviation = math.sqrt(n * (total - n) / 12 * (total + 1 - ties))
    distance = max(0.0, seen / total / 2 - 0.5)
    return 2 * NormalDist().cdf(-distance / deviation) if deviation else 1.0


def ratio_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Median of all ratios second/first and its interval of :data:`CONFIDENCE`.

    With too few repeats for that confidence the interval is 0 to infinity.
    """
    ratios = sorted(b / a for a in first for b in second)
    skip = _skipped(len(first), len(second))
    low, high = (0.0, math.inf) if skip is None else (ratios[skip], ratios[-1 - skip])
    return statistics.median(ratios), low, high


def _skipped(n: int, m: int) -> int | None:
    """Ratios to leave out at each end: the largest k with P(U ≤ k) ≤ (1 - CONFIDENCE) / 2; None: there is no such k."""
    n, m = sorted((n, m))
    if _additions(n, m) > MOST_EXACT:
        deviation = math.sqrt(n * m * (n + m + 1) / 12)
        skip = math.floor(n * m / 2 - 0.5 - NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation)
        return skip if skip >= 0 else None
    # U is the rank sum of n of the n + m values, less its minimum.
    sums = sorted(_rank_sums(range(1, n + m + 1), n).items())
    allowed, below = (1 - CONFIDENCE) / 2 * math.comb(n + m, n), 0
    for u, (_, count) in enumerate(sums):
        below += count
        if below > allowed:
            return u - 1 if u > 0 else None
    return None


def _additions(n: int, m: int) -> int:
    """About how many :func:`_rank_sums` needs for n of n + m ranks."""
    return (n + m) * n * n * m


def _rank_sums(ranks: Iterable[int], n: int) -> dict[int, int]:
    """How many ways there are to choose ``n`` of the ranks, by their sum."""
    ways: list[dict[int, int]] = [{0: 1}, *({} for _ in range(n))]
    for rank in ranks:
        for k in range(n - 1, -1, -1):
            for s, count in ways[k].items():
                ways[k + 1][s + rank] = ways[k + 1].get(s + rank, 0) + count
    return ways[n]


def _doubled_midranks(values: Sequence[float]) -> list[int]:
    """Twice the midrank of each value: an integer."""
    ordered = sorted(values)
    return [bisect_left(ordered, value) + bisect_right(ordered, value) + 1 for value in values]


def _check(before: Sample, after: Sample) -> None:
    where, expected = f"{before.name}, {after.name}", "the same in both"
    found: list[Finding] = []
    for key in sorted({*before.labels, *after.labels}):
        one, other = before.labels.get(key, "none"), after.labels.get(key, "none")
        if one != other:
            difference = f"{key}: {one} and {other}"
            found.append(error("the two cannot be compared", where=where, found=difference, expected=expected))
    for sample in (before, after):
        if not sample.values or not all(0 < value < math.inf for value in sample.values):
            values = ", ".join(f"{value:g}" for value in sample.values) or "no repeats"
            found.append(error("no rates to compare", where=sample.name, found=values, expected="rates above zero"))
    if found:
        raise BadInput(found)


def compare_runs(before: Run, after: Run) -> ComparedRuns:
    """Compare two runs at every frame size and goal that both have. Raises BadInput where there is none."""
    first, second = _samples(before), _samples(after)
    common = [key for key in first if key in second]
    if not common and (missing := _without_rate(before, after)):
        raise BadInput(missing)
    if not common:
        raise BadInput.of(
            "the runs have no frame size and goal in common",
            where=f"{before.info.name}, {after.info.name}",
            remedy="measure both with the same options",
        )
    rows = tuple(ComparisonRow(*key, compare(first[key], second[key])) for key in common)
    return ComparedRuns(before.folder, after.folder, rows)


def _without_rate(before: Run, after: Run) -> list[Finding]:
    """Why there is nothing to compare at the frame sizes and goals that both have measured."""
    both = lower_bounds(before.results).keys() & lower_bounds(after.results).keys()
    return [
        error(
            f"there is no rate to compare: {reason.claim}",
            where=run.info.name,
            found=reason.found,
            expected="a rate in both runs",
            remedy="measure it again: ouchi bench",
        )
        for run in (before, after)
        for key, reason in without_rate(run.results).items()
        if key in both
    ]


def _samples(run: Run) -> dict[tuple[str, str], Sample]:
    """The lower bounds of the repeats by frame size and goal."""
    request = run.info.request
    labels = {
        "path": run.info.path,
        "labels": "; ".join(run.info.labels),
        **{key: str(request.get(key, "")) for key in ("flows", "directions", "guest", "wires", "stream")},
        "mtu": str(run.info.settings.get("mtu", "")),
    }
    return {
        (size, goal): Sample(run.info.name, tuple(values), {**labels, "frames": size, "goal": goal})
        for (size, goal), values in lower_bounds(run.results).items()
        if values
    }
