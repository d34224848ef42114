"""A trial as text, and values of a run that several charts need."""

from __future__ import annotations

from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.measure.search.goals import Bounds, Goal, judged_loss
from ouchi.measure.search.trial import Trial
from ouchi.report.run.units import rate_text, share_text


def trial_tooltip(recorded: TrialRecord) -> str:
    """The tooltip of a trial: rate, duration, counts, and why it does not count in full."""
    trial = recorded.trial
    name = (
        f"trial {trial.number}"
        + (f", repeat {recorded.repeat}" if recorded.repeat else "")
        + (f", {trial.label}" if trial.label else "")
    )
    lines = [
        name,
        f"offered {rate_text(trial.intended_pps)} for {trial.intended_seconds:g} s",
        f"lost {trial.lost:,} of {trial.sent:,} sent ({share_text(trial.loss_ratio)})",
    ]
    if len(trial.streams) > 1:
        lines.append(f"worst direction {share_text(judged_loss(trial))}")
    if trial.tx_backpressure:
        lines.append(f"TX backpressure {trial.tx_backpressure:,}")
    if trial.unsent > 0:
        lines.append(f"unsent {trial.unsent:,}")
    return "\n".join([*lines, *remarks(trial)])


def remarks(trial: Trial) -> list[str]:
    """Why a trial does not count in full; empty for a valid one."""
    kinds = (
        ("invalid", trial.invalid),
        ("under-offered", trial.under_offered),
        ("tester suspect", trial.tester_suspect),
    )
    return [f"{kind}: {why}" for kind, several in kinds for why in several]


def size_text(size: str) -> str:
    """``64-byte frames``, ``imix frames``."""
    return f"{size}-byte frames" if size.isdigit() else f"{size} frames"


def mean_size(run: Run, size: str) -> float | None:
    """The mean size in bytes of the frames sent; None when nothing was sent."""
    streams = [stream for recorded in run.of_size(size) for stream in recorded.trial.streams]
    sent = sum(stream.sent for stream in streams)
    return sum(stream.size * stream.sent for stream in streams) / sent if sent else None


def directions(run: Run) -> int:
    """The largest number of streams loaded at once."""
    return max((len(recorded.trial.streams) for recorded in run.trials), default=0)


def goals_of(run: Run, size: str | None = None) -> tuple[Goal, ...]:
    """The search goals (at one frame size), in order."""
    return tuple({bounds.goal.name: bounds.goal for bounds in bounds_of(run, size)}.values())


def bounds_of(run: Run, size: str | None = None, goal: str | None = None) -> tuple[Bounds, ...]:
    """The bounds of the repeats (at one frame size, for one goal)."""
    return tuple(
        bounds
        for result in run.results
        for bounds in result.bounds
        if size in (None, result.size) and goal in (None, bounds.goal.name)
    )
