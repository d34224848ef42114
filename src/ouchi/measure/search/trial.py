"""One trial: frames offered at one rate for one time, and all counters.

Counts and seconds are stored; rates and ratios are derived from them. Frame sizes are in bytes and include the 4 bytes
of FCS and any VLAN tags.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import computed_field
from pydantic.dataclasses import dataclass as json_dataclass


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times in nanoseconds by bucket: ``counts`` are (lower edge in ns, frames), ascending.

    A bucket is at most 0.8 % of its edge wide, or ``unit_ns`` (the clock's resolution) where that is more. Derived
    values use the lower edges, so they are low by at most that much. Maximum, mean and percentiles of an
    empty histogram are None.
    """

    unit_ns: float
    counts: tuple[tuple[int, int], ...] = ()

    @property
    def total(self) -> int:
        """Frames in all buckets."""
        return sum(count for _, count in self.counts)

    @property
    def maximum(self) -> int | None:
        """ns."""
        return self.counts[-1][0] if self.counts else None

    @property
    def mean(self) -> float | None:
        """ns."""
        return sum(edge * count for edge, count in self.counts) / self.total if self.counts else None

    def percentile(self, percent: float) -> int | None:
        """The smallest edge (ns) at or below which ``percent`` of the frames lie (nearest rank).

        Raises ValueError when ``percent`` is not within 0..100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"no percentile {percent}")
        rank, counted = max(1, math.ceil(self.total * percent / 100)), 0
        for edge, count in self.counts:
            counted += count
            if counted >= rank:
                return edge
        return None

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """The sum of several; ``unit_ns`` is the coarsest (1 for none at all)."""
        counts: dict[int, int] = {}
        unit = 0.0
        for histogram in histograms:
            unit = max(unit, histogram.unit_ns)
            for edge, count in histogram.counts:
                counts[edge] = counts.get(edge, 0) + count
        return cls(unit or 1.0, tuple(sorted(counts.items())))


@dataclass(frozen=True, slots=True)
class Gap:
    """Consecutive lost frames: seconds from the start of the trial at the receiver, first sequence number, how many."""

    begin_s: float
    first: int
    packets: int


@dataclass(frozen=True, slots=True)
class Stalls:
    """Interruptions of the generator's workers, in µs; ``histogram`` is (lower edge in µs, how many)."""

    longest_us: float
    count: int
    threshold_us: float
    histogram: tuple[tuple[float, int], ...] = ()


@json_dataclass(frozen=True, slots=True)
class StreamResult:
    """The counters of one direction of a trial, from one port to another.

    ``size`` is the mean frame in bytes. ``sent`` is what the port accepted of ``attempted``; ``received`` includes
    ``duplicated``. ``gaps_dropped``: gaps beyond those listed. ``tx_backpressure``: frames for which the TX ring was
    full when they were due, since the peer did not empty it in time; they were never sent, or too late, and are not
    lost. ``rx_overrun_suspect``: how many of ``lost`` may have overrun the tester's own RX ring during its stalls (an
    upper bound).
    """

    stream: str
    tx_port: str
    rx_port: str
    size: float
    intended: int
    attempted: int
    sent: int
    received: int
    duplicated: int
    reordered: int
    corrupt: int
    latency: Histogram
    variation_ns: float
    gaps: tuple[Gap, ...] = ()
    gaps_dropped: int = 0
    tx_backpressure: int = 0
    rx_overrun_suspect: int = 0

    @computed_field
    @property
    def lost(self) -> int:
        """Frames sent and never received; negative when more arrived than were sent."""
        return self.sent - (self.received - self.duplicated)

    @computed_field
    @property
    def unsent(self) -> int:
        """Frames intended and not sent."""
        return self.intended - self.sent

    @property
    def loss_ratio(self) -> float:
        """Lost over sent; 1 when nothing was sent."""
        return self.lost / self.sent if self.sent else 1.0

    @property
    def failed_ratio(self) -> float:
        """The share of the offered frames that were lost or met TX backpressure; 1 when nothing was offered.

        More received than sent is a failure too, so its absolute value counts.
        """
        offered = self.sent + self.tx_backpressure
        return (abs(self.lost) + self.tx_backpressure) / offered if offered else 1.0

    @property
    def certain_failed_ratio(self) -> float:
        """The lower bound of :attr:`failed_ratio`: without ``rx_overrun_suspect``."""
        offered = self.sent + self.tx_backpressure
        return self.failed_ratio - self.rx_overrun_suspect / offered if offered else 1.0


@json_dataclass(frozen=True, slots=True)
class Trial:
    """One trial of all its streams at once.

    ``intended_pps``: the sum of all streams; ``seconds``: the measured sending time; ``foreign``: frames received
    without the generator's signature; ``started``: ISO time; ``counters``: those of the path. The reasons why a trial
    does not count in full (:mod:`ouchi.measure.search.validity`): ``invalid``: it is evidence neither for nor against
    its rate; ``under_offered``: less than intended was offered, so it is no evidence for it; ``tester_suspect``: the
    tester may have lost frames itself.
    """

    number: int
    label: str
    intended_pps: float
    intended_seconds: float
    seconds: float
    streams: tuple[StreamResult, ...]
    stalls: Stalls
    foreign: int
    invalid: tuple[str, ...]
    counters: Mapping[str, Any]
    started: str
    under_offered: tuple[str, ...] = ()
    tester_suspect: tuple[str, ...] = ()

    @computed_field
    @property
    def valid(self) -> bool:
        """Whether the trial counts in full, for or against its rate."""
        return not self.remarks

    @property
    def remarks(self) -> tuple[str, ...]:
        """Every reason why it does not count in full."""
        return (*self.invalid, *self.under_offered, *self.tester_suspect)

    @computed_field
    @property
    def intended(self) -> int:
        """Frames to be sent, all streams."""
        return sum(stream.intended for stream in self.streams)

    @property
    def attempted(self) -> int:
        """Frames handed to the ports, all streams."""
        return sum(stream.attempted for stream in self.streams)

    @computed_field
    @property
    def sent(self) -> int:
        """Frames that the ports accepted, all streams."""
        return sum(stream.sent for stream in self.streams)

    @computed_field
    @property
    def received(self) -> int:
        """Frames received, duplicates included, all streams."""
        return sum(stream.received for stream in self.streams)

    @computed_field
    @property
    def lost(self) -> int:
        """Frames sent and never received, all streams."""
        return sum(stream.lost for stream in self.streams)

    @property
    def unsent(self) -> int:
        """Frames intended and not sent, all streams."""
        return sum(stream.unsent for stream in self.streams)

    @property
    def tx_backpressure(self) -> int:
        """Frames that met a full TX ring when they were due, all streams."""
        return sum(stream.tx_backpressure for stream in self.streams)

    @property
    def loss_ratio(self) -> float:
        """Lost over sent, all streams; 1 when nothing was sent."""
        return self.lost / self.sent if self.sent else 1.0

    @property
    def sent_pps(self) -> float:
        """Frames sent per second of the measured sending time; 0 when that is 0."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0

    @property
    def received_pps(self) -> float:
        """Frames received (without duplicates) per second of the measured sending time; 0 when that is 0."""
        return (self.sent - self.lost) / self.seconds if self.seconds > 0 else 0.0
