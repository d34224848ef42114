"""Loss against offered load: a mark for each trial, a band for each goal's bounds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.measure.search.goals import judged_loss
from ouchi.report.run.chart import Chart, Figure, colour
from ouchi.report.run.scales import Scale, decades_with_zero, linear
from ouchi.report.run.trials import bounds_of, goals_of, size_text, trial_tooltip
from ouchi.report.run.units import count_text, digits, rate_unit, share_text

MAX_MARKS = 3000


def loss_figures(run: Run, size: str) -> list[Figure]:
    """All trials of a frame size, and where it helps, those around the rates found."""
    trials = run.of_size(size)
    most = max(recorded.trial.intended_pps for recorded in trials)
    figures = [_figure(run, size, trials, (0.0, most * 1.03), f"Loss, {size_text(size)}")]
    rates = [rate for bounds in bounds_of(run, size) for rate in (bounds.lower_pps, bounds.upper_pps) if rate]
    if rates:
        room = max(0.02 * max(rates), (max(rates) - min(rates)) / 2)
        low, high = min(rates) - room, max(rates) + room
        near = [recorded for recorded in trials if low <= recorded.trial.intended_pps <= high]
        if len(near) > 4 and (high - low) * 2 < most:
            figures.append(_figure(run, size, near, (low, high), f"Loss around the rates found, {size_text(size)}"))
    return figures


def _figure(run: Run, size: str, trials: Sequence[TrialRecord], span: tuple[float, float], title: str) -> Figure:
    unit = rate_unit(span[1])
    chart = Chart(
        title, linear(*span, unit.text), _losses(run, trials), f"offered load, {unit.name}", "lost or TX backpressure"
    )
    legend = [("ink disc", "valid trial")]
    for index, goal in enumerate(goals_of(run, size)):
        found = bounds_of(run, size, goal.name)
        for bounds in found:
            if bounds.lower_pps and bounds.upper_pps:
                chart.band(bounds.lower_pps, bounds.upper_pps, colour(index))
        if lowers := [bounds.lower_pps for bounds in found if bounds.lower_pps]:
            median = statistics.median(lowers)
            chart.upright(median, f"{goal.name} {digits(median / unit.size)}", colour(index), index)
        if goal.loss_ratio:
            chart.level(goal.loss_ratio, share_text(goal.loss_ratio), colour(index))
    for recorded in trials[:MAX_MARKS]:
        trial = recorded.trial
        at = (trial.intended_pps, judged_loss(trial), trial_tooltip(recorded))
        if trial.valid:
            chart.dot(*at, "ink", 5.5 if trial.intended_seconds >= 10 else 3.5)
        else:
            chart.cross(*at, "bad")
    if any(not recorded.trial.valid for recorded in trials):
        legend.append(("bad struck", "trial that does not count in full"))
    return Figure(_caption(trials, bool(goals_of(run, size))), chart, legend)


def _losses(run: Run, trials: Sequence[TrialRecord]) -> Scale:
    seen = [judged_loss(recorded.trial) for recorded in trials] + [goal.loss_ratio for goal in goals_of(run)]
    return decades_with_zero(min((loss for loss in seen if loss > 0), default=1e-6), 1.0, share_text)


def _caption(trials: Sequence[TrialRecord], searched: bool) -> str:
    words = [f"{count_text(len(trials), 'trial')}, each by its worse direction."]
    if searched:
        words.append("Bands: lower to upper bound of each repeat; lines: median of the lower bounds.")
    if any(recorded.trial.intended_seconds >= 10 for recorded in trials):
        words.append("Large marks: 10 s and more.")
    if len(trials) > MAX_MARKS:
        words.append(f"The first {MAX_MARKS:,} are drawn.")
    return " ".join(words)
