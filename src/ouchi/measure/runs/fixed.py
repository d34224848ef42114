"""Trials at a rate that the user names, and the line about them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ouchi.measure.runs.model import Beside
from ouchi.measure.search.trial import Histogram, Trial


def fixed_row(size: str, rate: str, trials: Sequence[Trial]) -> Beside:
    """What became of the frames at ``rate`` (as the user wrote it), all trials together; at least one trial."""
    sent, lost, refused = (sum(getattr(trial, name) for trial in trials) for name in ("sent", "lost", "refused"))
    latency = Histogram.merged(stream.latency for trial in trials for stream in trial.streams)
    times = {f"{percent:g} %": latency.percentile(percent) for percent in (50, 99, 100)}
    said = f"{lost:,} of {sent:,} lost" + (f", {refused:,} refused" if refused else "")
    said += "; latency " + ", ".join(f"{name} {ns / 1000:,.1f} µs" for name, ns in times.items() if ns is not None)
    invalid = [trial for trial in trials if not trial.valid]
    if invalid:
        said += f"; {len(invalid)} of {len(trials)} trials are not valid: {invalid[-1].remarks[0]}"
    figures = {"sent": sent, "lost": lost, "refused": refused, "trials": len(trials), "invalid": len(invalid)}
    return Beside(size, f"at {rate}", statistics.median(trial.received_pps for trial in trials), said, figures)
