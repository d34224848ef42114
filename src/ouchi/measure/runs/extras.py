"""Result lines of a run about the generator alone, the maximum offered load, and fixed rates."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ouchi.core.errors import Failed
from ouchi.measure.paths.cpus import Placement
from ouchi.measure.request import BenchRequest
from ouchi.measure.runs.model import ExtraResult
from ouchi.measure.search.trial import Histogram, Trial

MAX_OFFERED = "maximum offered load"
SELF_TEST = "generator over a ring, maximum"
SATURATED = 0.95
"""The share of its cycles, or of line rate, above which a PMD thread or a wire is taken to be the bottleneck."""


def self_test_result(size: str, max_pps: float, trial: Trial) -> ExtraResult:
    """The line about the generator over a ring. Raises Failed when a valid trial shows errors."""
    errors = {
        "lost": trial.lost,
        "duplicated": sum(stream.duplicated for stream in trial.streams),
        "reordered": sum(stream.reordered for stream in trial.streams),
        "corrupt": sum(stream.corrupt for stream in trial.streams),
    }
    if trial.valid and any(errors.values()):
        raise Failed.of(
            "the generator's self-test over a ring shows errors",
            found=", ".join(f"{count:,} {name}" for name, count in errors.items() if count),
            expected="none: figures of a path would be meaningless",
            remedy="please report it, with this machine's ouchi inspect --json",
        )
    text = f"{trial.lost:,} of {trial.sent:,} frames lost, none duplicated, reordered or corrupt"
    if not trial.valid:
        text = f"inconclusive: {trial.remarks[0]}"
    return ExtraResult(size, SELF_TEST, max_pps, text, {"sent": trial.sent, **errors, "valid": trial.valid})


def max_offered_result(
    size: str, trials: Sequence[Trial], *, line_pps: float | None, request: BenchRequest, placement: Placement
) -> ExtraResult:
    """The line about what was received at the maximum offered load, and the bottleneck.

    ``line_pps``: line rate of the wires, None without one.
    """
    sent, received = median_sent_pps(trials), statistics.median(trial.received_pps for trial in trials)
    text = f"received of {sent / 1e6:.2f} Mpps sent"
    figures: dict[str, float] = {"sent_pps": sent}
    if shares := [pmd["busy"] for trial in trials for pmd in trial.counters.get("ovs", {}).get("pmd", {}).values()]:
        busy = figures["busy"] = max(shares)
        text += f"; OVS's busiest PMD thread {busy:.1%} busy: {_bottleneck(busy, sent, line_pps, guests=bool(request.path.guests), shared=placement.shared)}"
    return ExtraResult(size, MAX_OFFERED, received, text, figures)


def fixed_rate_result(size: str, rate: str, trials: Sequence[Trial]) -> ExtraResult:
    """The line about all trials at ``rate`` (as the user wrote it); at least one trial."""
    totals = {name: sum(getattr(trial, name) for trial in trials) for name in ("sent", "lost", "tx_backpressure")}
    latency = Histogram.merged(stream.latency for trial in trials for stream in trial.streams)
    times = {f"{percent:g} %": latency.percentile(percent) for percent in (50, 99, 100)}
    text = f"{totals['lost']:,} of {totals['sent']:,} lost"
    text += f", {totals['tx_backpressure']:,} TX backpressure" if totals["tx_backpressure"] else ""
    text += "; latency " + ", ".join(f"{name} {ns / 1000:,.1f} µs" for name, ns in times.items() if ns is not None)
    invalid = [trial for trial in trials if not trial.valid]
    if invalid:
        text += f"; {len(invalid)} of {len(trials)} trials are not valid: {invalid[-1].remarks[0]}"
    figures = {**totals, "trials": len(trials), "invalid": len(invalid)}
    received = statistics.median(trial.received_pps for trial in trials)
    return ExtraResult(size, f"at {rate}", received, text, figures)


def median_sent_pps(trials: Sequence[Trial]) -> float:
    """The median rate sent (pps, all streams); 0 when any trial sent nothing."""
    rates = [trial.sent_pps for trial in trials]
    return statistics.median(rates) if min(rates) else 0.0


def _bottleneck(busy: float, sent: float, line_pps: float | None, *, guests: bool, shared: bool) -> str:
    if guests and shared:
        return "undecided, as the generator and the guests share CPUs"
    if line_pps and sent >= line_pps * SATURATED:
        return "the wire is the bottleneck"
    if busy >= SATURATED:
        return "OVS is the bottleneck"
    return "the generator or a guest is the bottleneck" if guests else "the generator is the bottleneck"
