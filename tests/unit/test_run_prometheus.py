"""A run for Prometheus: the format's rules are kept, and every figure is the run's."""

from __future__ import annotations

from pathlib import Path

from ouchi.measure.runs.model import Run
from ouchi.report.run.prometheus import prometheus_text
from tests.exposition import check_exposition, sample
from tests.runs import HOSTILE, LABELS, hostile_run


def test_prometheus_states_what_the_run_states(run: Run) -> None:
    samples = check_exposition(prometheus_text(run))
    for row in run.summary:
        at = {"size": row.size, "goal": row.goal, "run": "a run", "path": "v2v"}
        assert sample(samples, "throughput_packets_per_second", **at) == [row.median_pps]
        assert sample(samples, "throughput_lowest_packets_per_second", **at) == [row.low_pps]
        below = [each.trial for each in run.of_size(row.size) if each.trial.intended_pps <= (row.median_pps or 0)]
        lost, sent = (sum(getattr(trial, key) for trial in below if trial.valid) for key in ("lost", "sent"))
        assert sample(samples, "loss_ratio", **at) == [lost / sent]
    for size in run.sizes:
        for valid in (True, False):
            count = sum(each.trial.valid is valid for each in run.of_size(size))
            assert sample(samples, "trials", size=size, valid=str(valid).lower()) == [count]
    assert sample(samples, "run_end_timestamp_seconds") == [1795412472.0]
    assert sample(samples, "run_complete") == [1]
    assert sample(samples, "run_info", labels="; ".join(LABELS)) == [1]


def test_prometheus_latencies_are_seconds_in_order(run: Run) -> None:
    samples = check_exposition(prometheus_text(run))
    at = {"size": "64", "fraction": "0.5", "stream": "0→1", "goal": "NDR"}
    quantiles = [
        sample(samples, "latency_seconds", quantile=name, **at)[0] for name in ("0.5", "0.9", "0.99", "0.999", "1")
    ]
    assert quantiles == sorted(quantiles)
    assert 1e-6 < quantiles[0] < 1e-3
    (total,), (count,) = (sample(samples, f"latency_seconds_{part}", **at) for part in ("sum", "count"))
    assert quantiles[0] <= total / count <= quantiles[-1]


def test_prometheus_names_come_through_whole(tmp_path: Path) -> None:
    samples = check_exposition(prometheus_text(hostile_run(tmp_path / "run")))
    assert sample(samples, "run_complete", run=HOSTILE.replace("\x1b", "\ufffd")) == [1]
