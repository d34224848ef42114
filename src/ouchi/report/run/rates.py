"""The rates found by frame size: a column for the median, a mark for each repeat."""

from __future__ import annotations

import statistics

from ouchi.measure.runs.model import Run
from ouchi.report.run.chart import WIDTH, Chart, Figure, colour
from ouchi.report.run.scales import linear, slots
from ouchi.report.run.trials import directions, goals_of
from ouchi.report.run.units import digits, rate_text, rate_unit

READABLE = 42
"""px: labels of closer columns alternate between two heights."""


def rates_figure(run: Run) -> Figure | None:
    """None when no rate was found."""
    rates = _rates(run)
    if not rates:
        return None
    sizes = tuple(dict.fromkeys(size for size, _ in rates))
    names = [goal.name for goal in goals_of(run)]
    most = max(lower for found in rates.values() for _, lower, _ in found)
    unit = rate_unit(most)
    both = directions(run)
    across = f"{unit.name}, sum of {both} directions" if both > 1 else unit.name
    chart = Chart("Rates found", slots(sizes), linear(0, most * 1.14, unit.text), "frame size", across)
    for slot, size in enumerate(sizes):
        here = [name for name in names if (size, name) in rates]
        room = 0.8 * (WIDTH - 70) / len(sizes) / len(here)
        for index, name in enumerate(here):
            found, look = rates[size, name], colour(names.index(name))
            x = slot + (index - (len(here) - 1) / 2) * 0.8 / len(here)
            median = statistics.median(lower for _, lower, _ in found)
            half = min(24.0, 0.42 * room)
            chart.column(x, median, half, look)
            chart.short_level(x, median, look, half)
            for repeat, lower, upper in found:
                above = f", not {rate_text(upper)}" if upper else ""
                chart.dot(x, lower, f"{size}, {name}, repeat {repeat}\n{rate_text(lower)}{above}", look, min(4, half))
            if room > READABLE / 2:
                lift = 9 + (14 if room < READABLE and index % 2 else 0)
                chart.write(x, max(lower for _, lower, _ in found), digits(median / unit.size, 3), look, lift)
    legend = [(colour(index), name) for index, name in enumerate(names)]
    return Figure("Marks: repeats; columns and labels: their median.", chart, legend)


def _rates(run: Run) -> dict[tuple[str, str], list[tuple[int, float, float | None]]]:
    """(repeat, lower bound, upper bound) in pps by size and goal, where a rate was found."""
    rates: dict[tuple[str, str], list[tuple[int, float, float | None]]] = {}
    for result in run.results:
        for bounds in result.bounds:
            if bounds.lower_pps:
                at = rates.setdefault((result.size, bounds.goal.name), [])
                at.append((result.repeat, bounds.lower_pps, bounds.upper_pps))
    return rates
