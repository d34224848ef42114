"""The progress of a search as text."""

from __future__ import annotations

from ouchi.measure.search.goals import Bounds
from ouchi.measure.search.mlrsearch import SearchProgress
from ouchi.measure.search.trial import Trial


def bounds_text(bounds: Bounds) -> str:
    """``NDR 1.930–1.940 Mpps``; a question mark for an unknown bound."""
    low, high = (f"{value / 1e6:.3f}" if value is not None else "?" for value in (bounds.lower_pps, bounds.upper_pps))
    return f"{bounds.goal.name} {low}–{high} Mpps"


def trial_text(trial: Trial) -> str:
    """Rate, duration, and loss or why the trial is invalid."""
    if trial.invalid:
        result = f"invalid: {trial.invalid[0]}"
    else:
        result = f"{trial.lost:,} of {trial.sent:,} lost"
        result += f", {trial.tx_backpressure:,} TX backpressure" if trial.tx_backpressure else ""
        result += f" ({trial.remarks[0]})" if trial.remarks else ""
    return f"{trial.intended_pps / 1e6:.3f} Mpps for {trial.intended_seconds:g} s: {result}"


def progress_text(trial: Trial, progress: SearchProgress) -> str:
    """The last trial, the bounds so far, and the estimated time left."""
    found = "; ".join(map(bounds_text, progress.bounds))
    return "; ".join(filter(None, [trial_text(trial), found, f"about {progress.left_seconds:.0f} s left"]))
