"""Every trial as CSV (RFC 4180), a row for each direction: counts and seconds, from which rates are derived."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.measure.search.trial import StreamResult

Value = str | int | float | None


def csv_text(run: Run) -> str:
    """The rows below a header; each has the labels of the run."""
    labels = "; ".join(run.info.labels)
    rows = ({**_row(record, each), "run_labels": labels} for record in run.trials for each in record.trial.streams)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _row(record: TrialRecord, stream: StreamResult) -> Mapping[str, Value]:
    trial, latency = record.trial, stream.latency
    return {
        "size": record.size,
        "repeat": record.repeat,
        "trial": trial.number,
        "label": trial.label,
        "started": trial.started,
        "valid": int(trial.valid),
        "remarks": "; ".join(trial.remarks),
        "intended_pps": trial.intended_pps,
        "intended_seconds": trial.intended_seconds,
        "seconds": trial.seconds,
        "stream": stream.stream,
        "tx_port": stream.tx_port,
        "rx_port": stream.rx_port,
        "mean_frame_bytes": stream.size,
        **{name: getattr(stream, name) for name in _COUNTS},
        **{f"latency_{name}_ns": latency.percentile(percent) for name, percent in _PERCENTILES.items()},
        "latency_max_ns": latency.maximum,
        "variation_ns": stream.variation_ns,
        "gaps": len(stream.gaps) + stream.gaps_dropped,
        "longest_stall_us": trial.stalls.longest_us,
    }


_SENT = ("intended", "attempted", "sent")
_COUNTS = (*_SENT, "received", "duplicated", "reordered", "corrupt", "lost", "unsent", "tx_backpressure")
_PERCENTILES = {"50": 50.0, "90": 90.0, "99": 99.0, "99_9": 99.9}
_TRIAL = ("size", "repeat", "trial", "label", "started", "valid", "remarks")
_STREAM = ("intended_pps", "intended_seconds", "seconds", "stream", "tx_port", "rx_port", "mean_frame_bytes")
_LATENCY = (*(f"latency_{name}_ns" for name in _PERCENTILES), "latency_max_ns", "variation_ns")
COLUMNS = (*_TRIAL, *_STREAM, *_COUNTS, *_LATENCY, "gaps", "longest_stall_us", "run_labels")


def _inert(value: Value) -> Value:
    """A text as one that a spreadsheet does not take for a formula; a number as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
