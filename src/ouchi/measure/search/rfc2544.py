"""RFC 2544 section 26: latency, frame loss rate, and back-to-back frames as updated by RFC 9004.

Rates are the sum of all streams in pps. A benchmark that ends early returns what it found; its trials and the reason are
in the :class:`~ouchi.measure.search.evidence.Evidence`. Throughput (section 26.1) is the search goal ``rfc2544``.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from ouchi.core.errors import BadInput
from ouchi.measure.search.binary import Bracket, narrow
from ouchi.measure.search.evidence import Evidence
from ouchi.measure.search.trial import Histogram, Trial

STEPS = 10
"""Loads of :func:`frame_loss`; the RFC: steps of at most 10 %."""


def latency(evidence: Evidence, pps: float, *, seconds: float, repeats: int = 20) -> tuple[float, ...]:
    """Section 26.2: the mean latency (ns) in each of ``repeats`` trials at the throughput found (the RFC: at least 20 of 120 s).

    The RFC times one tagged frame per trial; here all frames are timed. A trial that receives nothing has no mean.
    """
    with evidence.until_stopped():
        for _ in range(repeats):
            evidence.trial(pps, seconds, "latency")
    valid = [trial for trial in evidence.trials if trial.valid]
    means = (Histogram.merged(stream.latency for stream in trial.streams).mean for trial in valid)
    return tuple(mean for mean in means if mean is not None)


def frame_loss(evidence: Evidence, max_pps: float, *, seconds: float) -> list[tuple[float, Trial]]:
    """Section 26.3: (share of the maximum, trial), from the maximum down until two in a row lose nothing."""
    points: list[tuple[float, Trial]] = []
    with evidence.until_stopped():
        for step in range(STEPS, 0, -1):
            share = step / STEPS
            points.append((share, evidence.trial(max_pps * share, seconds, f"{share:.0%}", accept=_fully_offered)))
            if len(points) > 1 and not any(_lossy(trial) for _, trial in points[-2:]):
                break
    return points


@dataclass(frozen=True, slots=True)
class BackToBack:
    """The longest burst at ``line_pps`` without loss in each repeat, and the buffer size that it implies.

    ``bursts``: frames, all streams. ``unbounded``: the longest possible burst passed in a repeat, so the figures are
    lower limits.
    """

    line_pps: float
    throughput_pps: float
    bursts: tuple[int, ...]
    unbounded: bool

    @property
    def mean(self) -> float | None:
        """Frames; None without a complete repeat."""
        return statistics.fmean(self.bursts) if self.bursts else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the repeats in frames; None for fewer than two."""
        return statistics.stdev(self.bursts) if len(self.bursts) > 1 else None

    @property
    def implied_seconds(self) -> float | None:
        """RFC 9004 section 6.4: the duration of the mean burst at line rate."""
        return None if self.mean is None else self.mean / self.line_pps

    @property
    def corrected_seconds(self) -> float | None:
        """RFC 9004 section 6.4: the implied time, corrected for frames that the device forwards during the burst."""
        implied = self.implied_seconds
        return None if implied is None else implied * (1 - self.throughput_pps / self.line_pps)


def back_to_back(
    evidence: Evidence,
    *,
    line_pps: float,
    throughput_pps: float,
    seconds: float,
    repeats: int = 50,
    width: float = 0.001,
) -> BackToBack:
    """Section 26.4 by RFC 9004: the longest burst at ``line_pps`` without loss, up to ``seconds``, to within ``width``.

    Raises BadInput unless the throughput is below line rate: otherwise no buffer fills.
    """
    if not 0 < throughput_pps < line_pps:
        found = f"throughput {throughput_pps:,.0f} pps of {line_pps:,.0f} pps"
        raise BadInput.of("back-to-back frames cannot be measured", found=found, expected="0 < throughput < line rate")
    bursts, unbounded = list[int](), False

    def passes(packets: float) -> bool:
        return not _lossy(evidence.trial(line_pps, round(packets) / line_pps, f"burst of {round(packets):,}"))

    with evidence.until_stopped():
        for _ in range(repeats):
            bracket = Bracket()
            narrow(bracket, passes, minimum=evidence.device.streams, maximum=line_pps * seconds, width=width)
            bursts.append(round(bracket.lower or 0))
            unbounded = unbounded or bracket.upper is None
    return BackToBack(line_pps, throughput_pps, tuple(bursts), unbounded)


def _fully_offered(trial: Trial) -> bool:
    """Whether a trial offered its full load; its loss is reported even where the tester is suspect."""
    return not trial.invalid and not trial.under_offered


def _lossy(trial: Trial) -> bool:
    return any(stream.lost or stream.tx_backpressure for stream in trial.streams)
