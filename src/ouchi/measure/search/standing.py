"""Where a search stands, in a line for whoever waits."""

from __future__ import annotations

from ouchi.measure.search.goals import Bounds
from ouchi.measure.search.mlrsearch import Standing
from ouchi.measure.search.trial import Trial


def bounds_text(bounds: Bounds) -> str:
    """``NDR 1.93–1.94 Mpps``; a question mark where there is no bound."""
    low, high = (f"{value / 1e6:.3f}" if value is not None else "?" for value in (bounds.lower_pps, bounds.upper_pps))
    return f"{bounds.goal.name} {low}–{high} Mpps"


def trial_text(trial: Trial) -> str:
    """Rate, time, and what became of the frames or why the trial proves nothing."""
    judged = f"invalid: {trial.problems[0]}" if trial.problems else f"{trial.lost:,} of {trial.sent:,} lost"
    if trial.refused and not trial.problems:
        judged += f", {trial.refused:,} refused"
    if (reserve := (*trial.shortfalls, *trial.doubts)) and not trial.problems:
        judged += f" ({reserve[0]})"
    return f"{trial.intended_pps / 1e6:.3f} Mpps for {trial.intended_seconds:g} s: {judged}"


def standing_text(trial: Trial, standing: Standing) -> str:
    """The last trial, the bounds so far, and how long it may still take."""
    found = "; ".join(map(bounds_text, standing.bounds))
    return f"{trial_text(trial)}; {found}; about {standing.left_seconds:.0f} s left"
