"""Tests besides the searches at a frame size: RFC 2544's others, soak, maximum receive rate."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

from ouchi.measure.runs.model import ExtraResult
from ouchi.measure.search.evidence import Device, Evidence, OnTrial
from ouchi.measure.search.goals import judged_loss
from ouchi.measure.search.rfc2544 import back_to_back, frame_loss, latency

SECONDS = {"latency": 120.0, "frame-loss": 60.0, "back-to-back": 2.0, "soak": 600.0, "maximum": 1.0}
"""Defaults by the standards (RFC 2544 sections 26.2 to 26.4); ten minutes of soak; FD.io CSIT's maximum receive rate."""
NEEDS_RATE = ("latency", "back-to-back", "soak")
"""Tests at the rate that a search found."""
SOAK_INTERVAL = 10.0
"""Seconds of traffic between the readings of the counters in a soak."""
MAXIMUM_TRIALS = 10
"""As in FD.io CSIT's maximum receive rate."""


@dataclass(frozen=True, slots=True)
class ExtraTest:
    """A test by its name, and the seconds of each of its trials (of ``soak`` the whole)."""

    name: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.name}:{self.seconds:g}"


@dataclass(frozen=True, slots=True)
class KnownRates:
    """Rates of a path at a frame size (pps, sum of all streams).

    ``found``: the highest that a search showed to meet its goal, None without one; ``maximum``: what the ports accept,
    or line rate; ``burst``: the highest rate of a burst.
    """

    found: float | None
    maximum: float
    burst: float


@dataclass(frozen=True, slots=True)
class ExtraTestResult:
    """A test's result lines, and why it ended early; empty when it did not."""

    rows: tuple[ExtraResult, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a test measures: a device with frames of a size, at known rates; ``on_trial`` gets each trial."""

    device: Device
    size: str
    rates: KnownRates
    on_trial: OnTrial


def run_extra_test(test: ExtraTest, subject: Subject) -> ExtraTestResult:
    """Run a test. One that needs a rate reports so where none was found."""
    name, run = _TESTS[test.name]
    if subject.rates.found is None and test.name in NEEDS_RATE:
        return ExtraTestResult(
            (ExtraResult(subject.size, name, None, "not measured: no rate was found to measure it at"),)
        )
    evidence = Evidence(subject.device, subject.on_trial)
    rows = run(name, test.seconds, subject, evidence)
    if evidence.reason and test.name == "frame-loss":
        rows.append(ExtraResult(subject.size, name, None, f"ended early: {evidence.reason}"))
    elif evidence.reason:
        rows = [replace(row, text=f"{row.text}; ended early: {evidence.reason}") for row in rows]
    return ExtraTestResult(tuple(rows), evidence.reason)


def _latency(name: str, seconds: float, at: Subject, evidence: Evidence) -> list[ExtraResult]:
    means = latency(evidence, at.rates.found or 0.0, seconds=seconds)
    mean_ns = statistics.fmean(means) if means else None
    mean = "–" if mean_ns is None else f"{mean_ns / 1000:,.1f} µs"
    text = f"mean {mean} in {len(means)} trials of {seconds:g} s"
    figures = {"mean_ns": mean_ns, "trials": len(means), "seconds": seconds}
    return [ExtraResult(at.size, name, at.rates.found, text, figures)]


def _frame_loss(name: str, seconds: float, at: Subject, evidence: Evidence) -> list[ExtraResult]:
    return [
        ExtraResult(
            at.size,
            name.replace("frame loss", f"frame loss at {share:.0%}"),
            trial.intended_pps,
            f"{judged_loss(trial):.4%} lost or TX backpressure in {seconds:g} s",
            {"share": share, "sent": trial.sent, "lost": trial.lost, "tx_backpressure": trial.tx_backpressure},
        )
        for share, trial in frame_loss(evidence, at.rates.maximum, seconds=seconds)
    ]


def _back_to_back(name: str, seconds: float, at: Subject, evidence: Evidence) -> list[ExtraResult]:
    found = at.rates.found or 0.0
    if found >= at.rates.burst:
        text = "the path forwards the fastest burst without buffering"
        return [ExtraResult(at.size, name, at.rates.burst, text)]
    result = back_to_back(evidence, line_pps=at.rates.burst, throughput_pps=found, seconds=seconds)
    figures = {
        "mean": result.mean,
        "deviation": result.deviation,
        "implied_seconds": result.implied_seconds,
        "corrected_seconds": result.corrected_seconds,
        "bursts": list(result.bursts),
    }
    text = "no burst was measured"
    if result.mean is not None and result.corrected_seconds is not None:
        limit = "at least " if result.unbounded else ""
        text = f"{limit}{result.mean:,.0f} frames in a burst, a buffer of {result.corrected_seconds * 1e6:,.0f} µs"
    return [ExtraResult(at.size, name, at.rates.burst, text, figures)]


def _soak(name: str, seconds: float, at: Subject, evidence: Evidence) -> list[ExtraResult]:
    """The rate found for ``seconds`` of traffic, in intervals; invalid ones are not repeated, and left out of the sums."""
    pps = at.rates.found or 0.0
    with evidence.until_stopped():
        for index in range(max(1, math.ceil(seconds / SOAK_INTERVAL - 1e-9))):
            start = index * SOAK_INTERVAL
            evidence.once(pps, min(SOAK_INTERVAL, seconds - start), f"from {start:g} s")
    trials = evidence.trials
    valid = [trial for trial in trials if trial.valid]
    sent, lost, invalid = (
        sum(trial.sent for trial in valid),
        sum(trial.lost for trial in valid),
        len(trials) - len(valid),
    )
    figures = {
        "sent": sent,
        "lost": lost,
        "tx_backpressure": sum(trial.tx_backpressure for trial in valid),
        "intervals": len(trials),
        "invalid": invalid,
    }
    text = f"{lost:,} of {sent:,} lost in {seconds:g} s; {invalid} of {len(trials)} intervals invalid"
    return [ExtraResult(at.size, name, at.rates.found, text, figures)]


def _maximum(name: str, seconds: float, at: Subject, evidence: Evidence) -> list[ExtraResult]:
    """The rate received at the highest load, regardless of loss."""
    offered = at.rates.maximum
    with evidence.until_stopped():
        for _ in range(MAXIMUM_TRIALS):
            evidence.trial(offered, seconds, "maximum")
    received = [trial.received_pps for trial in evidence.trials if trial.valid]
    figures = {"offered_pps": offered, "received_pps": received}
    text = f"received, median of {len(received)} trials of {seconds:g} s" if received else "no valid trial"
    return [ExtraResult(at.size, name, statistics.median(received) if received else None, text, figures)]


_TESTS: dict[str, tuple[str, Callable[[str, float, Subject, Evidence], list[ExtraResult]]]] = {
    "latency": ("latency at the rate found (RFC 2544 §26.2)", _latency),
    "frame-loss": ("frame loss (RFC 2544 §26.3)", _frame_loss),
    "back-to-back": ("back-to-back frames (RFC 2544 §26.4, RFC 9004)", _back_to_back),
    "soak": ("soak at the rate found", _soak),
    "maximum": ("maximum receive rate", _maximum),
}
