"""Stalls of the generator's workers over all trials."""

from __future__ import annotations

from ouchi.measure.runs.model import Run
from ouchi.report.run.chart import Chart, Figure
from ouchi.report.run.scales import decades
from ouchi.report.run.units import count_text, tick_time, time_text


def stalls_figure(run: Run) -> Figure | None:
    """None without stalls."""
    times: dict[float, int] = {}
    for recorded in run.trials:
        for edge, count in recorded.trial.stalls.histogram:
            if edge > 0 and count:
                times[edge] = times.get(edge, 0) + count
    if not times:
        return None
    edges = sorted(times)
    ends = [*edges[1:], edges[-1] * 1.25]
    every = sum(times.values())
    chart = Chart(
        "Stalls of the generator",
        decades(edges[0], ends[-1], lambda us: tick_time(us * 1000)),
        decades(0.5, max(times.values()), lambda count: f"{count:,.0f}" if count >= 1 else ""),
        "stalled for at least",
        "count",
    )
    for edge, end in zip(edges, ends, strict=True):
        # A bar ends where the next begins, but is never wider than a quarter of its value.
        tooltip = f"{time_text(edge * 1000)} and more: {count_text(times[edge], 'time')}"
        chart.bar(edge, min(end, edge * 1.25), times[edge], tooltip, "c7")
    longest = max(recorded.trial.stalls.longest_us for recorded in run.trials)
    threshold = run.trials[0].trial.stalls.threshold_us
    if threshold > 0:
        chart.upright(threshold, f"counted from {tick_time(threshold * 1000)}", "ink")
    caption = f"{count_text(every, 'stall')} in {count_text(len(run.trials), 'trial')}, the longest {time_text(longest * 1000)}."
    return Figure(caption, chart)
