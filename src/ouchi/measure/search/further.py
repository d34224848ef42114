"""What can be measured beside the searches at a frame size: RFC 2544's other tests, a long run, the most received."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ouchi.measure.runs.model import Beside
from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import OnTrial
from ouchi.measure.search.goals import judged_loss
from ouchi.measure.search.maximum import maximum
from ouchi.measure.search.rfc2544 import back_to_back, frame_loss, latency
from ouchi.measure.search.soak import soak


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


@dataclass(frozen=True, slots=True)
class Found:
    """A test's figures as lines, and why it ended early; empty when it did not."""

    rows: tuple[Beside, ...]
    reason: str = ""


SECONDS = {"latency": 120.0, "frame-loss": 60.0, "back-to-back": 2.0, "soak": 600.0, "maximum": 1.0}
"""As the standards have it (RFC 2544 §26.2 to §26.4); ten minutes of soak; FD.io CSIT's maximum receive rate."""


def measure_further(test: Further, device: Device, size: str, known: Known, on_trial: OnTrial) -> Found:
    """Run a test. What cannot be measured without a rate found says so."""
    return _TESTS[test.name](test.seconds, device, size, known, on_trial)


def _latency(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> Found:
    if known.found is None:
        return _nothing(size, "latency")
    told = latency(device, known.found, seconds=seconds, on_trial=on_trial)
    figures = {"mean_ns": told.mean_ns, "trials": len(told.means_ns), "seconds": seconds}
    mean = "–" if told.mean_ns is None else f"{told.mean_ns / 1000:,.1f} µs"
    said = f"mean {mean} in {len(told.means_ns)} trials of {seconds:g} s"
    what = "latency at the rate found (RFC 2544 §26.2)"
    return _found(Beside(size, what, known.found, said, figures), told.reason)


def _frame_loss(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> Found:
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
    return Found(tuple(rows if told.complete else [*rows, _ended(size, "frame loss", told.reason)]), told.reason)


def _back_to_back(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> Found:
    what = "back-to-back frames (RFC 2544 §26.4, RFC 9004)"
    if known.found is None:
        return _nothing(size, what)
    if known.found >= known.offered:
        return _found(Beside(size, what, known.offered, "the path keeps up with the fastest burst: no buffer shows"))
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
    return _found(Beside(size, what, known.offered, said, figures), told.reason)


def _soak(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> Found:
    if known.found is None:
        return _nothing(size, "soak")
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
    return _found(Beside(size, "soak at the rate found", known.found, said, figures), told.reason)


def _maximum(seconds: float, device: Device, size: str, known: Known, on_trial: OnTrial) -> Found:
    told = maximum(device, known.most, seconds=seconds, on_trial=on_trial)
    rates = told.received_pps
    figures = {"offered_pps": told.offered_pps, "received_pps": list(rates)}
    said = f"received, median of {len(rates)} trials of {seconds:g} s" if rates else "no valid trial"
    return _found(Beside(size, "most received", told.median_pps, said, figures), told.reason)


def _nothing(size: str, what: str) -> Found:
    return Found((Beside(size, what, None, "not measured: no rate was found to measure it at"),))


def _found(row: Beside, reason: str = "") -> Found:
    return Found((replace(row, said=f"{row.said}; ended early: {reason}") if reason else row,), reason)


def _ended(size: str, what: str, reason: str) -> Beside:
    return Beside(size, what, None, f"ended early: {reason}")


_TESTS: dict[str, Callable[[float, Device, str, Known, OnTrial], Found]] = {
    "latency": _latency,
    "frame-loss": _frame_loss,
    "back-to-back": _back_to_back,
    "soak": _soak,
    "maximum": _maximum,
}
