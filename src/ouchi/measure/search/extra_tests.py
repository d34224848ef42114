"""Tests besides the searches at a frame size: RFC 2544's others, soak, maximum receive rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ouchi.measure.runs.model import ExtraResult
from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import OnTrial
from ouchi.measure.search.goals import judged_loss
from ouchi.measure.search.maximum import maximum
from ouchi.measure.search.rfc2544 import back_to_back, frame_loss, latency
from ouchi.measure.search.soak import soak

SECONDS = {"latency": 120.0, "frame-loss": 60.0, "back-to-back": 2.0, "soak": 600.0, "maximum": 1.0}
"""Defaults by the standards (RFC 2544 sections 26.2 to 26.4); ten minutes of soak; FD.io CSIT's maximum receive rate."""
NEEDS_RATE = ("latency", "back-to-back", "soak")
"""Tests at the rate that a search found."""


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
    rows, reason = run(name, test.seconds, subject)
    if reason and test.name == "frame-loss":
        rows.append(ExtraResult(subject.size, name, None, f"ended early: {reason}"))
    elif reason:
        rows = [replace(row, text=f"{row.text}; ended early: {reason}") for row in rows]
    return ExtraTestResult(tuple(rows), reason)


_Outcome = tuple[list[ExtraResult], str]


def _latency(name: str, seconds: float, at: Subject) -> _Outcome:
    result = latency(at.device, at.rates.found or 0.0, seconds=seconds, on_trial=at.on_trial)
    figures = {"mean_ns": result.mean_ns, "trials": len(result.means_ns), "seconds": seconds}
    mean = "–" if result.mean_ns is None else f"{result.mean_ns / 1000:,.1f} µs"
    text = f"mean {mean} in {len(result.means_ns)} trials of {seconds:g} s"
    return [ExtraResult(at.size, name, at.rates.found, text, figures)], result.reason


def _frame_loss(name: str, seconds: float, at: Subject) -> _Outcome:
    result = frame_loss(at.device, max_pps=at.rates.maximum, seconds=seconds, on_trial=at.on_trial)
    rows = [
        ExtraResult(
            at.size,
            name.replace("frame loss", f"frame loss at {share:.0%}"),
            trial.intended_pps,
            f"{judged_loss(trial):.4%} lost or TX backpressure in {seconds:g} s",
            {"share": share, "sent": trial.sent, "lost": trial.lost, "tx_backpressure": trial.tx_backpressure},
        )
        for share, trial in result.points
    ]
    return rows, result.reason


def _back_to_back(name: str, seconds: float, at: Subject) -> _Outcome:
    found = at.rates.found or 0.0
    if found >= at.rates.burst:
        text = "the path forwards the fastest burst without buffering"
        return [ExtraResult(at.size, name, at.rates.burst, text)], ""
    result = back_to_back(
        at.device, line_pps=at.rates.burst, throughput_pps=found, seconds=seconds, on_trial=at.on_trial
    )
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
    return [ExtraResult(at.size, name, at.rates.burst, text, figures)], result.reason


def _soak(name: str, seconds: float, at: Subject) -> _Outcome:
    result = soak(at.device, at.rates.found or 0.0, seconds, on_trial=at.on_trial)
    figures = {
        "sent": result.sent,
        "lost": result.lost,
        "tx_backpressure": sum(trial.tx_backpressure for trial in result.trials if trial.valid),
        "intervals": len(result.trials),
        "invalid": result.invalid,
    }
    intervals = f"{result.invalid} of {len(result.trials)} intervals invalid"
    text = f"{result.lost:,} of {result.sent:,} lost in {seconds:g} s; {intervals}"
    return [ExtraResult(at.size, name, at.rates.found, text, figures)], result.reason


def _maximum(name: str, seconds: float, at: Subject) -> _Outcome:
    result = maximum(at.device, at.rates.maximum, seconds=seconds, on_trial=at.on_trial)
    received = result.received_pps
    figures = {"offered_pps": result.offered_pps, "received_pps": list(received)}
    text = f"received, median of {len(received)} trials of {seconds:g} s" if received else "no valid trial"
    return [ExtraResult(at.size, name, result.median_pps, text, figures)], result.reason


_TESTS: dict[str, tuple[str, Callable[[str, float, Subject], _Outcome]]] = {
    "latency": ("latency at the rate found (RFC 2544 §26.2)", _latency),
    "frame-loss": ("frame loss (RFC 2544 §26.3)", _frame_loss),
    "back-to-back": ("back-to-back frames (RFC 2544 §26.4, RFC 9004)", _back_to_back),
    "soak": ("soak at the rate found", _soak),
    "maximum": ("maximum receive rate", _maximum),
}
