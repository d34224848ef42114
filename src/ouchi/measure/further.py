"""What can be measured beside the searches at a frame size: RFC 2544's other tests, a long run, the most received."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ouchi.measure.device import Device
from ouchi.measure.evidence import OnTrial
from ouchi.measure.goals import judged_loss
from ouchi.measure.maximum import maximum
from ouchi.measure.recorded import Beside
from ouchi.measure.rfc2544 import back_to_back, frame_loss, latency
from ouchi.measure.soak import soak


@dataclass(frozen=True, slots=True)
class Further:
    """A test by its name, and the seconds of each of its trials (of ``soak`` the whole)."""

    name: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.name}:{self.seconds:g}"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a path at a frame size by then (pps, sum of all streams).

    ``found``: the highest rate that a search showed to be without too much loss, None without one. ``most``: what the
    ports take at most, the line where there is one. ``offered``: the fastest that frames can come in a burst.
    """

    found: float | None
    most: float
    offered: float


SECONDS = {"latency": 120.0, "frame-loss": 60.0, "back-to-back": 2.0, "soak": 600.0, "maximum": 1.0}
"""As the standards have it (RFC 2544 §26.2 to §26.4); ten minutes of soak; FD.io CSIT's maximum receive rate."""


def measure_further(test: Further, device: Device, size: str, known: Known, on_trial: OnTrial) -> list[Beside]:
    """Run a test; its figures as lines. What cannot be measured without a rate found says so."""
    return _TESTS[test.name](test.seconds, device, size, known, on_trial)


def _latency(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> list[Beside]:
    if known.found is None:
        return [_nothing(size, "latency")]
    told = latency(device, known.found, seconds=seconds, on_trial=on_trial)
    figures = {"mean_ns": told.mean_ns, "trials": len(told.means_ns), "seconds": seconds}
    mean = "–" if told.mean_ns is None else f"{told.mean_ns / 1000:,.1f} µs"
    said = f"mean {mean} in {len(told.means_ns)} trials of {seconds:g} s"
    return [
        Beside(size, "latency at the rate found (RFC 2544 §26.2)", known.found, _so_far(said, told.reason), figures)
    ]


def _frame_loss(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> list[Beside]:
    told = frame_loss(device, most_pps=known.most, seconds=seconds, on_trial=on_trial)
    rows = [
        Beside(
            size,
            f"frame loss at {share:.0%} (RFC 2544 §26.3)",
            trial.intended_pps,
            f"{judged_loss(trial):.4%} lost or refused in {seconds:g} s",
            {"share": share, "sent": trial.sent, "lost": trial.lost, "refused": trial.refused},
        )
        for share, trial in told.points
    ]
    return rows if told.complete else [*rows, Beside(size, "frame loss", None, _so_far("not finished", told.reason))]


def _back_to_back(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> list[Beside]:
    what = "back-to-back frames (RFC 2544 §26.4, RFC 9004)"
    if known.found is None:
        return [_nothing(size, what)]
    if known.found >= known.offered:
        return [Beside(size, what, known.offered, "the path keeps up with the fastest burst: no buffer shows")]
    told = back_to_back(device, line_pps=known.offered, throughput_pps=known.found, seconds=seconds, on_trial=on_trial)
    figures = {
        "mean": told.mean,
        "deviation": told.deviation,
        "implied_seconds": told.implied_seconds,
        "corrected_seconds": told.corrected_seconds,
        "bursts": list(told.bursts),
    }
    said = "no burst was measured"
    if told.mean is not None and told.corrected_seconds is not None:
        least = "at least " if told.unbounded else ""
        said = f"{least}{told.mean:,.0f} frames in a row, a buffer of {told.corrected_seconds * 1e6:,.0f} µs"
    return [Beside(size, what, known.offered, _so_far(said, told.reason), figures)]


def _soak(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> list[Beside]:
    if known.found is None:
        return [_nothing(size, "soak")]
    told = soak(device, known.found, seconds, on_trial=on_trial)
    figures = {
        "sent": told.sent,
        "lost": told.lost,
        "refused": sum(trial.refused for trial in told.trials if trial.valid),
        "intervals": len(told.trials),
        "invalid": told.invalid,
    }
    said = (
        f"{told.lost:,} of {told.sent:,} lost in {seconds:g} s; {told.invalid} of {len(told.trials)} intervals invalid"
    )
    return [Beside(size, "soak at the rate found", known.found, _so_far(said, told.reason), figures)]


def _maximum(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> list[Beside]:
    told = maximum(device, known.most, seconds=seconds, on_trial=on_trial)
    rates = told.received_pps
    figures = {"offered_pps": told.offered_pps, "received_pps": list(rates)}
    said = f"received, median of {len(rates)} trials of {seconds:g} s" if rates else "no valid trial"
    return [Beside(size, "most received", told.median_pps, _so_far(said, told.reason), figures)]


def _nothing(size: str, what: str) -> Beside:
    return Beside(size, what, None, "not measured: no rate was found to measure it at")


def _so_far(said: str, reason: str) -> str:
    return f"{said}; ended early: {reason}" if reason else said


_TESTS: dict[str, Callable[[float, Device, str, Known, OnTrial], list[Beside]]] = {
    "latency": _latency,
    "frame-loss": _frame_loss,
    "back-to-back": _back_to_back,
    "soak": _soak,
    "maximum": _maximum,
}
