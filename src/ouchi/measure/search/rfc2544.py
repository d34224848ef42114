"""The benchmarks of RFC 2544 §26: throughput, latency, frame loss rate, and back-to-back frames as RFC 9004 updates them.

All work on the sum of all streams in pps; each stops with a reason and keeps its trials when trials stay invalid or
the user stops it.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ouchi.core.errors import BadInput, error
from ouchi.measure.search.bisect import Bracket, narrow
from ouchi.measure.search.device import Device
from ouchi.measure.search.evidence import Evidence, OnTrial
from ouchi.measure.search.goals import RFC2544
from ouchi.measure.search.mlrsearch import SearchResult, search
from ouchi.measure.search.trial import Histogram, Trial


def throughput(
    device: Device, *, most_pps: float, least_pps: float, most_seconds: float, on_trial: OnTrial | None = None
) -> SearchResult:
    """§26.1: the highest rate at which a trial of 60 s loses nothing, found by MLRsearch with that goal alone."""
    tell = (lambda trial, _: on_trial(trial)) if on_trial else None
    return search(device, (RFC2544,), most_pps=most_pps, least_pps=least_pps, most_seconds=most_seconds, on_trial=tell)


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency at one rate: each repeat's mean over all packets, and all repeats' packets in one histogram per stream."""

    pps: float
    means_ns: tuple[float, ...]
    streams: dict[str, Histogram]
    trials: tuple[Trial, ...]
    complete: bool
    reason: str = ""

    @property
    def mean_ns(self) -> float | None:
        """The figure of the RFC: the mean of the repeats; None without one that received anything."""
        return statistics.fmean(self.means_ns) if self.means_ns else None


def latency(
    device: Device, pps: float, *, repeats: int = 20, seconds: float = 120.0, on_trial: OnTrial | None = None
) -> Latency:
    """§26.2: latency at the throughput found, ``repeats`` trials of ``seconds`` each (the RFC: at least 20 of 120 s).

    The RFC times one tagged frame a trial; here every packet is timed and a trial's figure is their mean.
    """
    evidence = Evidence(device, on_trial)
    with evidence.keeping():
        for _ in range(repeats):
            evidence.trial(pps, seconds, "latency")
    valid = [trial for trial in evidence.trials if trial.valid]
    each = [Histogram.merged(stream.latency for stream in trial.streams).mean for trial in valid]
    names = dict.fromkeys(stream.stream for trial in valid for stream in trial.streams)
    streams = {
        name: Histogram.merged(stream.latency for trial in valid for stream in trial.streams if stream.stream == name)
        for name in names
    }
    means = tuple(mean for mean in each if mean is not None)
    return Latency(pps, means, streams, tuple(evidence.trials), evidence.complete, evidence.reason)


@dataclass(frozen=True, slots=True)
class FrameLoss:
    """Loss against offered load: ``points`` are (share of the most, valid trial), from the highest load down."""

    most_pps: float
    points: tuple[tuple[float, Trial], ...]
    trials: tuple[Trial, ...]
    complete: bool
    reason: str = ""


def frame_loss(
    device: Device, *, most_pps: float, seconds: float = 60.0, steps: int = 10, on_trial: OnTrial | None = None
) -> FrameLoss:
    """§26.3: from the most down in ``steps`` equal steps (the RFC: at most 10 %) until two in a row lose nothing."""
    evidence = Evidence(device, on_trial)
    points: list[tuple[float, Trial]] = []
    with evidence.keeping():
        for step in range(steps, 0, -1):
            share = step / steps
            points.append((share, evidence.trial(most_pps * share, seconds, f"{share:.0%}", enough=_offered)))
            if len(points) > 1 and not any(_lossy(trial) for _, trial in points[-2:]):
                break
    return FrameLoss(most_pps, tuple(points), tuple(evidence.trials), evidence.complete, evidence.reason)


@dataclass(frozen=True, slots=True)
class BackToBack:
    """The longest burst at ``line_pps`` without loss, found anew in each repeat, and the buffer that it implies.

    ``bursts`` are packets, all streams. ``unbounded``: the longest burst that was tried passed in some repeat, so that
    the figures are lower limits.
    """

    line_pps: float
    throughput_pps: float
    bursts: tuple[int, ...]
    unbounded: bool
    trials: tuple[Trial, ...]
    complete: bool
    reason: str = ""

    @property
    def mean(self) -> float | None:
        """Packets; None before the first repeat is done."""
        return statistics.fmean(self.bursts) if self.bursts else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the repeats in packets; None for fewer than two."""
        return statistics.stdev(self.bursts) if len(self.bursts) > 1 else None

    @property
    def implied_seconds(self) -> float | None:
        """RFC 9004 §6.4: the mean burst at the line's rate."""
        return None if self.mean is None else self.mean / self.line_pps

    @property
    def corrected_seconds(self) -> float | None:
        """RFC 9004 §6.4: the implied time less the share in which the device empties the buffer at its throughput."""
        implied = self.implied_seconds
        return None if implied is None else implied * (1 - self.throughput_pps / self.line_pps)


def back_to_back(
    device: Device,
    *,
    line_pps: float,
    throughput_pps: float,
    seconds: float = 2.0,
    repeats: int = 50,
    width: float = 0.001,
    on_trial: OnTrial | None = None,
) -> BackToBack:
    """§26.4 by RFC 9004: the longest burst at ``line_pps`` without loss, up to ``seconds``, to within ``width``.

    Raises BadInput unless the throughput is below the line: a device that keeps up with the line shows no buffer.
    """
    if not 0 < throughput_pps < line_pps:
        found = f"throughput {throughput_pps:,.0f} pps of {line_pps:,.0f} pps"
        raise BadInput(error("back-to-back frames show nothing here", found=found, expected="0 < throughput < line"))
    evidence, bursts, unbounded = Evidence(device, on_trial), list[int](), False

    def passes(packets: float) -> bool:
        return not _lossy(evidence.trial(line_pps, round(packets) / line_pps, f"burst of {round(packets):,}"))

    with evidence.keeping():
        for _ in range(repeats):
            bracket = Bracket()
            narrow(bracket, passes, least=device.streams, most=line_pps * seconds, width=width)
            bursts.append(round(bracket.lower or 0))
            unbounded = unbounded or bracket.upper is None
    trials = tuple(evidence.trials)
    return BackToBack(line_pps, throughput_pps, tuple(bursts), unbounded, trials, evidence.complete, evidence.reason)


def _offered(trial: Trial) -> bool:
    """Whether a trial offered what it was asked to; what it lost is told as it is, doubtful or not."""
    return not trial.problems and not trial.shortfalls


def _lossy(trial: Trial) -> bool:
    return any(stream.lost or stream.refused for stream in trial.streams)
