"""A run's figures for the textfile collector of Prometheus' node_exporter, by prometheus_client.

No sample has a timestamp: the collector rejects those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ouchi.measure.runs.model import Run, TrialRecord
from ouchi.report.run.latency import PERCENTILES, latency_rows

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Labels = dict[str, str]


def prometheus_text(run: Run) -> str:
    """The text exposition; metrics without a sample are left out."""
    from prometheus_client import CollectorRegistry, generate_latest

    class RunCollector:
        def collect(self) -> Iterator[Metric]:
            return (metric for metric in _metrics(run) if metric.samples)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector())
    return generate_latest(registry).decode()


def _metrics(run: Run) -> Iterator[Metric]:
    common = {"run": run.info.name, "path": run.info.path}
    labelled = {**common, "labels": "; ".join(run.info.labels)}
    yield _gauge("run_info", "Always 1; the label labels qualifies every figure of the run.", [(labelled, 1)])
    yield _gauge("run_complete", "Whether everything requested was measured.", [(common, run.info.complete)])
    times = [(common, datetime.fromisoformat(run.info.ended).timestamp())] if run.info.ended else []
    yield _gauge("run_end_timestamp_seconds", "When the run ended, as Unix time.", times)
    yield from _rates(run, common)
    yield _latencies(run, common)
    trials = [
        (
            {**common, "size": size, "valid": str(valid).lower()},
            sum(each.trial.valid is valid for each in run.of_size(size)),
        )
        for size in run.sizes
        for valid in (True, False)
    ]
    yield _gauge("trials", "Number of trials; those that are not valid do not count in full.", trials)
    stalls = [
        ({**common, "size": size}, max(each.trial.stalls.longest_us for each in run.of_size(size)) / 1e6)
        for size in run.sizes
    ]
    yield _gauge("generator_longest_stall_seconds", "Longest stall of a worker of the generator.", stalls)


def _rates(run: Run, common: Labels) -> Iterator[Metric]:
    rows = [({**common, "size": row.size, "goal": row.goal}, row) for row in run.summary]
    rates = (
        ("", "median_pps", "Rate found for a goal, median of the repeats, sum of all directions."),
        ("_lowest", "low_pps", "Lowest rate found by a repeat."),
        ("_highest", "high_pps", "Highest rate found by a repeat."),
    )
    for suffix, member, text in rates:
        samples = [(labels, getattr(row, member)) for labels, row in rows if getattr(row, member) is not None]
        yield _gauge(f"throughput{suffix}_packets_per_second", text, samples)
    yield _gauge("throughput_repeats", "Repeats that found a rate.", [(labels, row.n) for labels, row in rows])
    noise = [(labels, row.noise) for labels, row in rows if row.noise is not None]
    yield _gauge("throughput_noise_ratio", "Range of the repeats over their median.", noise)
    losses = [
        (labels, loss)
        for labels, row in rows
        if row.median_pps is not None and (loss := _loss_up_to(run.of_size(row.size), row.median_pps)) is not None
    ]
    yield _gauge("loss_ratio", "Lost over sent in the valid trials at or below the rate found.", losses)


def _latencies(run: Run, common: Labels) -> Metric:
    from prometheus_client.metrics_core import Metric

    metric = Metric("ouchi_bench_latency_seconds", "Latency at a fraction of the rate found for a goal.", "summary")
    for size in run.sizes:
        for row in latency_rows(run, size):
            fraction = {"goal": row.goal, "fraction": f"{row.fraction:g}", "stream": row.stream}
            labels = {**common, "size": size, **fraction}
            for percent, ns in zip(PERCENTILES, row.percentiles, strict=True):
                metric.add_sample(metric.name, {**labels, "quantile": f"{percent / 100:g}"}, ns / 1e9)
            total = row.histogram.total
            metric.add_sample(f"{metric.name}_sum", labels, (row.histogram.mean or 0.0) * total / 1e9)
            metric.add_sample(f"{metric.name}_count", labels, total)
    return metric


def _loss_up_to(trials: Sequence[TrialRecord], pps: float) -> float | None:
    counted = [each.trial for each in trials if each.trial.valid and each.trial.intended_pps <= pps]
    sent = sum(trial.sent for trial in counted)
    return sum(trial.lost for trial in counted) / sent if sent else None


def _gauge(name: str, text: str, samples: Iterable[tuple[Labels, float]]) -> Metric:
    from prometheus_client.metrics_core import Metric

    metric = Metric(f"ouchi_bench_{name}", text, "gauge")
    for labels, value in samples:
        metric.add_sample(metric.name, labels, float(value))
    return metric
