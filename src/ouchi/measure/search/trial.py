"""One trial: packets offered at one rate for one time, and everything that was counted.

Counts and seconds are the truth; every rate and ratio here is derived from them. Frame sizes are in bytes and
include the 4 bytes of FCS and any VLAN tags.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times in nanoseconds by bucket: ``counts`` are (lower edge in ns, packets), ascending.

    Buckets are at most 0.8 % of their edge wide, or ``unit_ns`` (the clock's step) where that is more. What is
    derived uses the lower edges, so it is low by at most that much. An empty histogram has no minimum, maximum, mean
    or percentile: they are None.
    """

    unit_ns: float
    counts: tuple[tuple[int, int], ...] = ()

    @property
    def total(self) -> int:
        """Packets in all buckets."""
        return sum(count for _, count in self.counts)

    @property
    def minimum(self) -> int | None:
        """ns."""
        return self.counts[0][0] if self.counts else None

    @property
    def maximum(self) -> int | None:
        """ns."""
        return self.counts[-1][0] if self.counts else None

    @property
    def mean(self) -> float | None:
        """ns."""
        return sum(edge * count for edge, count in self.counts) / self.total if self.counts else None

    def percentile(self, percent: float) -> int | None:
        """The smallest edge (ns) at or under which ``percent`` of the packets lie (nearest rank).

        Raises ValueError when ``percent`` is not within 0..100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"no percentile {percent}")
        rank, seen = max(1, math.ceil(self.total * percent / 100)), 0
        for edge, count in self.counts:
            seen += count
            if seen >= rank:
                return edge
        return None

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """All packets of several in one; ``unit_ns`` is the coarsest (1 for none at all)."""
        counts: dict[int, int] = {}
        unit = 0.0
        for histogram in histograms:
            unit = max(unit, histogram.unit_ns)
            for edge, count in histogram.counts:
                counts[edge] = counts.get(edge, 0) + count
        return cls(unit or 1.0, tuple(sorted(counts.items())))

    def to_json(self) -> dict[str, Any]:
        """The unit and the buckets."""
        return {"unit_ns": self.unit_ns, "counts": [list(bucket) for bucket in self.counts]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Histogram:
        """What :meth:`to_json` gave."""
        return cls(value["unit_ns"], tuple((edge, count) for edge, count in value["counts"]))


@dataclass(frozen=True, slots=True)
class Gap:
    """Packets missing in a row: seconds from the trial's start by the receiver's clock, first sequence, how many."""

    begin_s: float
    first: int
    packets: int

    def to_json(self) -> dict[str, Any]:
        """The three values."""
        return {"begin_s": self.begin_s, "first": self.first, "packets": self.packets}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Gap:
        """What :meth:`to_json` gave."""
        return cls(value["begin_s"], value["first"], value["packets"])


@dataclass(frozen=True, slots=True)
class Stalls:
    """How long the generator's own cores were held up: µs; ``histogram`` is (lower edge in µs, times)."""

    longest_us: float
    count: int
    threshold_us: float
    histogram: tuple[tuple[float, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "longest_us": self.longest_us,
            "count": self.count,
            "threshold_us": self.threshold_us,
            "histogram": [list(bucket) for bucket in self.histogram],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Stalls:
        """What :meth:`to_json` gave."""
        histogram = tuple((edge, count) for edge, count in value["histogram"])
        return cls(value["longest_us"], value["count"], value["threshold_us"], histogram)


@dataclass(frozen=True, slots=True)
class StreamResult:
    """One direction of a trial: packets from one port to another, by the receiver's look at each signature.

    ``size`` is the mean frame in bytes. ``sent`` is what the port accepted of ``attempted``; ``received`` includes
    the ``duplicated``. ``gaps_dropped`` counts the gaps that there was no room to list. ``refused`` are packets for
    which the port's ring was full when they were due, because whoever empties it did not keep up: never sent, or sent
    too late. They are not lost, and it is not the generator that failed. Of the ``lost``, ``doubtful`` are as many as
    may have been lost in the receiving port's ring while the generator itself was away.
    """

    stream: str
    sent_from: str
    received_at: str
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
    refused: int = 0
    doubtful: int = 0

    @property
    def lost(self) -> int:
        """Packets sent and never received; negative when more arrived than were sent."""
        return self.sent - (self.received - self.duplicated)

    @property
    def unsent(self) -> int:
        """Packets that were to be sent and were not."""
        return self.intended - self.sent

    @property
    def loss_ratio(self) -> float:
        """Lost over sent; 1 when nothing was sent, for that shows nothing good."""
        return self.lost / self.sent if self.sent else 1.0

    @property
    def failed_ratio(self) -> float:
        """The share of what was offered that was lost or refused; 1 when nothing was offered.

        More received than sent is no success either, so its size counts as loss.
        """
        offered = self.sent + self.refused
        return (abs(self.lost) + self.refused) / offered if offered else 1.0

    @property
    def certain_ratio(self) -> float:
        """The least that :attr:`failed_ratio` can be: without what is doubtful."""
        offered = self.sent + self.refused
        return self.failed_ratio - self.doubtful / offered if offered else 1.0

    def to_json(self) -> dict[str, Any]:
        """All of it, and ``lost`` and ``unsent`` for whoever reads the file without this code."""
        return {
            "stream": self.stream,
            "sent_from": self.sent_from,
            "received_at": self.received_at,
            "size": self.size,
            "intended": self.intended,
            "attempted": self.attempted,
            "sent": self.sent,
            "received": self.received,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "corrupt": self.corrupt,
            "lost": self.lost,
            "unsent": self.unsent,
            "refused": self.refused,
            "doubtful": self.doubtful,
            "latency": self.latency.to_json(),
            "variation_ns": self.variation_ns,
            "gaps": [gap.to_json() for gap in self.gaps],
            "gaps_dropped": self.gaps_dropped,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StreamResult:
        """What :meth:`to_json` gave; the derived members are derived again."""
        return cls(
            stream=value["stream"],
            sent_from=value["sent_from"],
            received_at=value["received_at"],
            size=value["size"],
            intended=value["intended"],
            attempted=value["attempted"],
            sent=value["sent"],
            received=value["received"],
            duplicated=value["duplicated"],
            reordered=value["reordered"],
            corrupt=value["corrupt"],
            latency=Histogram.from_json(value["latency"]),
            variation_ns=value["variation_ns"],
            gaps=tuple(Gap.from_json(gap) for gap in value["gaps"]),
            gaps_dropped=value["gaps_dropped"],
            refused=value.get("refused", 0),
            doubtful=value.get("doubtful", 0),
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial of all its streams at once.

    ``intended_pps`` is the sum over the streams; ``seconds`` is the measured sending time; ``foreign`` counts frames
    received without a signature of ours; ``problems`` says why the trial proves nothing, ``shortfalls`` why it proves
    nothing good (less was offered than asked for), ``doubts`` why some of its loss may be the generator's own (see :mod:`ouchi.measure.search.validity`); ``counters`` holds what else was counted on the way; ``began`` is an ISO time.
    """

    number: int
    label: str
    intended_pps: float
    intended_seconds: float
    seconds: float
    streams: tuple[StreamResult, ...]
    stalls: Stalls
    foreign: int
    problems: tuple[str, ...]
    counters: Mapping[str, Any]
    began: str
    shortfalls: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the trial is evidence, without reserve, for or against its rate."""
        return not self.remarks

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why it is not."""
        return (*self.problems, *self.shortfalls, *self.doubts)

    @property
    def intended(self) -> int:
        """Packets that were to be sent, all streams."""
        return sum(stream.intended for stream in self.streams)

    @property
    def attempted(self) -> int:
        """Packets handed to the ports, all streams."""
        return sum(stream.attempted for stream in self.streams)

    @property
    def sent(self) -> int:
        """Packets that the ports accepted, all streams."""
        return sum(stream.sent for stream in self.streams)

    @property
    def received(self) -> int:
        """Packets received, duplicates included, all streams."""
        return sum(stream.received for stream in self.streams)

    @property
    def lost(self) -> int:
        """Packets sent and never received, all streams."""
        return sum(stream.lost for stream in self.streams)

    @property
    def unsent(self) -> int:
        """Packets that were to be sent and were not, all streams."""
        return sum(stream.unsent for stream in self.streams)

    @property
    def refused(self) -> int:
        """Packets for which a port's ring was full when they were due, all streams."""
        return sum(stream.refused for stream in self.streams)

    @property
    def loss_ratio(self) -> float:
        """Lost over sent, all streams; 1 when nothing was sent, for that shows nothing good."""
        return self.lost / self.sent if self.sent else 1.0

    @property
    def sent_pps(self) -> float:
        """Packets sent a second of the measured sending time; 0 when that is 0."""
        return self.sent / self.seconds if self.seconds > 0 else 0.0

    @property
    def received_pps(self) -> float:
        """Packets received once (no duplicates) a second of the measured sending time; 0 when that is 0."""
        return (self.sent - self.lost) / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """All of it, and the sums for whoever reads the file without this code."""
        return {
            "number": self.number,
            "label": self.label,
            "began": self.began,
            "intended_pps": self.intended_pps,
            "intended_seconds": self.intended_seconds,
            "seconds": self.seconds,
            "intended": self.intended,
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
            "valid": self.valid,
            "problems": list(self.problems),
            "shortfalls": list(self.shortfalls),
            "doubts": list(self.doubts),
            "streams": [stream.to_json() for stream in self.streams],
            "stalls": self.stalls.to_json(),
            "foreign": self.foreign,
            "counters": dict(self.counters),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trial:
        """What :meth:`to_json` gave, more members or not; the derived members are derived again.

        Raises KeyError, TypeError or ValueError when ``value`` is no trial.
        """
        return cls(
            number=value["number"],
            label=value["label"],
            intended_pps=value["intended_pps"],
            intended_seconds=value["intended_seconds"],
            seconds=value["seconds"],
            streams=tuple(StreamResult.from_json(stream) for stream in value["streams"]),
            stalls=Stalls.from_json(value["stalls"]),
            foreign=value["foreign"],
            problems=tuple(value["problems"]),
            counters=value["counters"],
            began=value["began"],
            shortfalls=tuple(value.get("shortfalls", ())),
            doubts=tuple(value.get("doubts", ())),
        )
