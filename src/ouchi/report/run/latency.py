"""Latency percentiles at the fractions of the rate found at which latency was measured."""

from __future__ import annotations

from dataclasses import dataclass

from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.measure.search.trial import Histogram
from ouchi.report.run.chart import Chart, Figure, colour
from ouchi.report.run.scales import decades, slots
from ouchi.report.run.trials import size_text
from ouchi.report.run.units import rate_text, share_text, tick_time, time_text

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)
NAMES = ("50 %", "90 %", "99 %", "99.9 %", "max")


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """The latency of one direction at a fraction of the rate found for a goal, over all repeats.

    ``pps``: the rate offered (sum of all streams), the mean of the repeats.
    """

    size: str
    goal: str
    fraction: float
    stream: str
    pps: float
    histogram: Histogram

    @property
    def percentiles(self) -> tuple[int, ...]:
        """ns, at :data:`PERCENTILES`."""
        return tuple(self.histogram.percentile(percent) or 0 for percent in PERCENTILES)


def latency_rows(run: Run, size: str) -> tuple[LatencyRow, ...]:
    """The latency in valid trials of a frame size, by goal, fraction and direction."""
    found: dict[tuple[str, float, str], list[tuple[float, Histogram]]] = {}
    for goal, fraction, recorded in _points(run, size):
        for stream in recorded.trial.streams:
            if stream.latency.total:
                at = found.setdefault((goal, fraction, stream.stream), [])
                at.append((recorded.trial.intended_pps, stream.latency))
    return tuple(
        LatencyRow(
            size,
            *key,
            sum(pps for pps, _ in each) / len(each),
            Histogram.merged(histogram for _, histogram in each),
        )
        for key, each in sorted(found.items())
    )


def latency_figure(run: Run, size: str) -> Figure | None:
    """None without latency measurements."""
    found = latency_rows(run, size)
    if not found:
        return None
    times = [max(1, ns) for each in found for ns in each.percentiles]
    title = f"Latency, {size_text(size)}"
    chart = Chart(title, slots(NAMES), decades(min(times), max(times), tick_time), "share of packets within", "latency")
    fractions = list(dict.fromkeys((each.goal, each.fraction) for each in found))
    streams = list(dict.fromkeys(each.stream for each in found))
    for each in found:
        index, dash = fractions.index((each.goal, each.fraction)), f"d{streams.index(each.stream) % 3}"
        chart.line(list(enumerate(each.percentiles)), f"{colour(index)} {dash}")
        for slot, ns in enumerate(each.percentiles):
            tooltip = f"{each.stream}: {NAMES[slot]} {time_text(ns)}\nat {_at(each.goal, each.fraction)}, {rate_text(each.pps)}"
            chart.dot(slot, ns, f"{tooltip}\n{each.histogram.total:,} packets", colour(index), 3.5)
    legend = [(colour(index), _at(*fraction)) for index, fraction in enumerate(fractions)]
    if len(streams) > 1:
        legend += [(f"ink stripe d{index % 3}", stream) for index, stream in enumerate(streams)]
    return Figure("All frames are timed. The generator's own latency is included: compare with a loop.", chart, legend)


def _at(goal: str, fraction: float) -> str:
    return f"{share_text(fraction)} of {goal}"


def _points(run: Run, size: str) -> list[tuple[str, float, TrialRecord]]:
    trials = {(recorded.repeat, recorded.trial.number): recorded for recorded in run.of_size(size)}
    return [
        (point.goal, point.fraction, recorded)
        for result in run.results
        if result.size == size
        for point in result.latency
        if (recorded := trials.get((result.repeat, point.trial))) and recorded.trial.valid
    ]
