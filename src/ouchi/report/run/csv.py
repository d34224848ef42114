"""Every trial as CSV (RFC 4180), a row for each direction: counts and seconds, from which all else follows."""

from __future__ import annotations

import csv
import io

from ouchi.measure.runs.model import Recorded, Run
from ouchi.measure.search.trial import StreamResult

COLUMNS = (
    "size", "repeat", "trial", "label", "began", "valid", "problems", "intended_pps", "intended_seconds", "seconds",
    "stream", "sent_from", "received_at", "mean_frame_bytes", "intended", "attempted", "sent", "received", "duplicated",
    "reordered", "corrupt", "lost", "unsent", "refused", "latency_50_ns", "latency_90_ns", "latency_99_ns", "latency_99_9_ns",
    "latency_max_ns", "variation_ns", "gaps", "longest_stall_us",
)  # fmt: skip


def csv_text(run: Run) -> str:
    """The rows below a line of names; the labels of the run stand in each."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow((*COLUMNS, "run_labels"))
    labels = _inert("; ".join(run.about.labels))
    for recorded in run.trials:
        for each in recorded.trial.streams:
            writer.writerow((*_row(recorded, each), labels))
    return stream.getvalue()


def _row(recorded: Recorded, stream: StreamResult) -> tuple[str | int | float | None, ...]:
    trial, latency = recorded.trial, stream.latency
    return (
        _inert(recorded.size), recorded.repeat, trial.number, _inert(trial.label), _inert(trial.began), int(trial.valid),
        _inert("; ".join(trial.remarks)), trial.intended_pps, trial.intended_seconds, trial.seconds,
        _inert(stream.stream), _inert(stream.sent_from), _inert(stream.received_at), stream.size, stream.intended,
        stream.attempted, stream.sent, stream.received, stream.duplicated, stream.reordered, stream.corrupt, stream.lost,
        stream.unsent, stream.refused, *(latency.percentile(percent) for percent in (50, 90, 99, 99.9)), latency.maximum,
        stream.variation_ns, len(stream.gaps) + stream.gaps_dropped, trial.stalls.longest_us,
    )  # fmt: skip


def _inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
