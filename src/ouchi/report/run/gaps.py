"""Loss over time: the gaps of trials, by start time and size."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.measure.search.goals import judged_loss
from ouchi.measure.search.trial import Gap
from ouchi.report.run.chart import BOTTOM, TOP, Chart, Figure, colour
from ouchi.report.run.scales import linear, slots
from ouchi.report.run.trials import size_text
from ouchi.report.run.units import count_text, rate_text, share_text

MAX_ROWS, MAX_GAPS = 12, 300
ROW = 26  # px


def gaps_figure(run: Run, size: str) -> Figure | None:
    """The valid trials with the least loss above zero, a row each; None without loss."""
    rows = _rows(run.of_size(size))
    if not rows:
        return None
    streams = list(dict.fromkeys(stream.stream for recorded in rows for stream in recorded.trial.streams))
    largest = max(gap.packets for recorded in rows for _, gap in _gaps(recorded)[0])
    seconds = rows[0].trial.intended_seconds
    names = [rate_text(recorded.trial.intended_pps) for recorded in rows]
    chart = Chart(
        f"Losses over time, {size_text(size)}",
        linear(-0.03 * seconds, seconds * 1.02, lambda value: f"{value:g}"),
        slots(names),
        "time since the trial began, s",
        "trial at",
        height=TOP + BOTTOM + ROW * max(4, len(rows)),
    )
    left_out = 0
    for row, recorded in enumerate(rows):
        shown, dropped = _gaps(recorded)
        left_out += dropped
        for stream, gap in shown:
            tooltip = f"{stream}: {count_text(gap.packets, 'packet')} lost from {gap.begin_s:.6f} s\n"
            tooltip += f"from sequence {gap.first:,}; trial {recorded.trial.number} lost {share_text(judged_loss(recorded.trial))}"
            apart = (streams.index(stream) - (len(streams) - 1) / 2) * 0.3
            chart.dot(
                gap.begin_s,
                row + apart,
                tooltip,
                f"{colour(streams.index(stream))} thin",
                2 + 8 * math.sqrt(gap.packets / largest),
            )
    caption = f"Trials of {seconds:g} s with the least loss; the largest mark is {count_text(largest, 'packet')}."
    if left_out:
        caption += f" {count_text(left_out, 'smaller gap')} not drawn."
    legend = [(f"{colour(index)} disc", stream) for index, stream in enumerate(streams)] if len(streams) > 1 else []
    return Figure(caption, chart, legend)


def _rows(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Trials of the most frequent duration, so that they share an axis, by rate."""
    lengths: dict[float, list[TrialRecord]] = {}
    for recorded in trials:
        if recorded.trial.valid and any(stream.gaps for stream in recorded.trial.streams):
            lengths.setdefault(recorded.trial.intended_seconds, []).append(recorded)
    most = max(lengths.values(), key=len, default=[])
    least = heapq.nsmallest(MAX_ROWS, most, key=lambda recorded: judged_loss(recorded.trial))
    return sorted(least, key=lambda recorded: recorded.trial.intended_pps)


def _gaps(recorded: TrialRecord) -> tuple[list[tuple[str, Gap]], int]:
    """The largest gaps with their streams, and the number of omitted ones."""
    every = [(stream.stream, gap) for stream in recorded.trial.streams for gap in stream.gaps]
    shown = heapq.nlargest(MAX_GAPS, every, key=lambda item: item[1].packets)
    dropped = sum(stream.gaps_dropped for stream in recorded.trial.streams)
    return shown, len(every) - len(shown) + dropped
