"""A run's figures for the textfile collector of Prometheus' node_exporter (text exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ouchi.measure.runs.model import Recorded, Run
from ouchi.report.run.latency import PERCENTILES, measured

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Metric:
    """``samples`` are (what is added to the name, labels, value)."""

    name: str
    kind: str
    about: str
    samples: Iterable[tuple[str, Labels, float]]


def prometheus_text(run: Run) -> str:
    """The exposition; metrics without a sample are left out. No sample has a time: the collector refuses those."""
    return "".join(line for metric in _metrics(run) for line in _lines(metric))


def _metrics(run: Run) -> Iterator[_Metric]:
    common = {"run": run.about.name, "path": run.about.path}
    named = {**common, "labels": "; ".join(run.about.labels)}
    yield _gauge(
        "run_info", "Always 1; the label labels says what stands beside every figure of the run.", [(named, 1)]
    )
    yield _gauge("run_complete", "Whether all that was to be measured was.", [(common, run.about.complete)])
    times = [(common, datetime.fromisoformat(run.about.ended).timestamp())] if run.about.ended else []
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
    yield _gauge("trials", "Trials that were run; those that are not valid prove nothing.", trials)
    stalls = [
        ({**common, "size": size}, max(each.trial.stalls.longest_us for each in run.of_size(size)) / 1e6)
        for size in run.sizes
    ]
    yield _gauge("generator_longest_stall_seconds", "Longest time that a core of the generator was held up.", stalls)


def _rates(run: Run, common: Labels) -> Iterator[_Metric]:
    rows = [({**common, "size": row.size, "goal": row.goal}, row) for row in run.summary]
    rates = (
        ("", "median_pps", "Rate found for a goal, median of the repeats, sum of all directions."),
        ("_lowest", "low_pps", "Lowest rate found by a repeat."),
        ("_highest", "high_pps", "Highest rate found by a repeat."),
    )
    for suffix, member, about in rates:
        samples = [(labels, getattr(row, member)) for labels, row in rows if getattr(row, member) is not None]
        yield _gauge(f"throughput{suffix}_packets_per_second", about, samples)
    yield _gauge("throughput_repeats", "Repeats that found a rate.", [(labels, row.n) for labels, row in rows])
    noise = [(labels, row.noise) for labels, row in rows if row.noise is not None]
    yield _gauge("throughput_noise_ratio", "Share of the median by which the repeats differ.", noise)
    losses = [
        (labels, loss)
        for labels, row in rows
        if row.median_pps is not None and (loss := _loss_up_to(run.of_size(row.size), row.median_pps)) is not None
    ]
    yield _gauge("loss_ratio", "Packets lost of those sent in the valid trials at or below the rate found.", losses)


def _latencies(run: Run, common: Labels) -> _Metric:
    samples: list[tuple[str, Labels, float]] = []
    for size in run.sizes:
        for each in measured(run, size):
            labels = {
                **common,
                "size": size,
                "goal": each.goal,
                "fraction": f"{each.fraction:g}",
                "stream": each.stream,
            }
            for percent, ns in zip(PERCENTILES, each.percentiles, strict=True):
                samples.append(("", {**labels, "quantile": f"{percent / 100:g}"}, ns / 1e9))
            total = each.histogram.total
            samples.append(("_sum", labels, (each.histogram.mean or 0.0) * total / 1e9))
            samples.append(("_count", labels, total))
    about = "Latency at a fraction of the rate found for a goal."
    return _Metric("ouchi_bench_latency_seconds", "summary", about, samples)


def _loss_up_to(trials: Sequence[Recorded], pps: float) -> float | None:
    counted = [each.trial for each in trials if each.trial.valid and each.trial.intended_pps <= pps]
    sent = sum(trial.sent for trial in counted)
    return sum(trial.lost for trial in counted) / sent if sent else None


def _gauge(name: str, about: str, samples: Iterable[tuple[Labels, float]]) -> _Metric:
    return _Metric(f"ouchi_bench_{name}", "gauge", about, [("", labels, value) for labels, value in samples])


def _lines(metric: _Metric) -> Iterator[str]:
    samples = list(metric.samples)
    if samples:
        yield f"# HELP {metric.name} {metric.about}\n# TYPE {metric.name} {metric.kind}\n"
    for suffix, labels, value in samples:
        told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{metric.name}{suffix}{{{told}}} {float(value)!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
