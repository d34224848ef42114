"""A device that is arithmetic: it forwards at a capacity, queues in a ring, stalls, and loses at random. No time passes.

It stands in for a path in tests of the searches, and says what a search would find on a path of which the capacity,
the ring and the stalls are known.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from ouchi.measure.search.trial import Gap, Histogram, Stalls, StreamResult, Trial
from ouchi.measure.search.validity import assess

Fault = Literal["", "negative", "stretched", "stalled", "unsent", "corrupt", "foreign"]
"""What can be wrong with a trial for tests: more received than sent, sending took longer, the generator stalled, …"""

_HAIR = 1e-6
"""Packets: a difference below this is floating point, not a packet."""
_GAPS = 1000
"""How many gaps a stream lists."""


def predicted_zero_loss_pps(ring: int, stall_seconds: float) -> float:
    """The highest rate (pps through one ring) that can be without loss when its reader stalls: R/S.

    While the reader is away for S seconds nothing leaves the ring, and rate × S packets arrive; more than the R that
    it holds must be lost, whatever the capacity between stalls. So no long trial without loss exceeds R/S, and
    lowering the rate ends the loss only below it.
    """
    return ring / stall_seconds if stall_seconds > 0 else math.inf


@dataclass(slots=True)
class SimulatedDevice:
    """A path with ``streams`` directions, each with its own capacity (pps) and ring (packets) read by one core.

    The core is away for ``stall_seconds`` every ``stall_period`` seconds, or at random ``stalls_per_second`` on
    average. ``loss`` is the chance of a packet to be lost at random. ``generator_pps`` is the most that can be sent in
    all; ``line_bits`` the wire's bit/s. Each trial whose number is a multiple of ``fault_every`` has the ``fault``.
    ``pause_seconds`` pass around each trial. Time is simulated: :meth:`clock`. The same ``seed`` gives the same results.
    """

    capacity_pps: float
    ring: int = 0
    stall_seconds: float = 0.0
    stall_period: float | None = None
    stalls_per_second: float = 0.0
    loss: float = 0.0
    streams: int = 1
    size: float = 64.0
    generator_pps: float = math.inf
    line_bits: float | None = None
    latency_ns: int = 10_000
    pause_seconds: float = 0.0
    fault: Fault = ""
    fault_every: int = 1
    seed: int = 0
    _now: float = field(default=0.0, init=False)
    _trials: int = field(default=0, init=False)
    _random: random.Random = field(init=False)
    _next_stall: float = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._next_stall = self._interval(first=True)

    def clock(self) -> float:
        """Simulated seconds since the device was made, to be a search's clock."""
        return self._now

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        """A trial at once; see :class:`ouchi.measure.search.evidence.Device`."""
        self._trials += 1
        away = list(self._stalls(seconds))
        results = tuple(self._stream(index, pps / self.streams, seconds, away) for index in range(self.streams))
        trial = Trial(
            number=self._trials,
            label=label,
            intended_pps=pps,
            intended_seconds=seconds,
            seconds=seconds,
            streams=results,
            stalls=Stalls(0.0, 0, 10.0),
            foreign=0,
            invalid=(),
            counters={"simulated": True},
            started=datetime.fromtimestamp(self._now, UTC).isoformat(),
        )
        self._now += seconds + self.pause_seconds
        if self.fault and self._trials % self.fault_every == 0:
            trial = _spoilt(trial, self.fault)
        return assess(trial, line_bits=self.line_bits)

    def _interval(self, first: bool = False) -> float:
        """Seconds to the next stall."""
        if self.stall_seconds <= 0:
            return math.inf
        if self.stall_period is not None:
            # Somewhere in the period, so that trials and stalls do not begin together.
            return self.stall_period * (self._random.random() if first else 1.0)
        return self._random.expovariate(self.stalls_per_second) if self.stalls_per_second > 0 else math.inf

    def _stalls(self, seconds: float) -> Iterator[tuple[float, float]]:
        """Begin and end of the stalls in the next ``seconds``, from now."""
        end = -math.inf
        while self._next_stall < self._now + seconds:
            begin = max(end, self._next_stall - self._now)
            end = begin + self.stall_seconds
            if end > 0 and begin < seconds:
                yield max(0.0, begin), min(end, seconds)
            self._next_stall += self._interval()

    def _stream(self, index: int, pps: float, seconds: float, away: list[tuple[float, float]]) -> StreamResult:
        intended = int(pps * seconds)
        sent = int(min(intended, self.generator_pps / self.streams * seconds))
        gaps = [gap for gap in self._overflows(sent / seconds, seconds, away) if gap.packets]
        dropped = min(sent, sum(gap.packets for gap in gaps))
        lost = dropped + self._binomial(sent - dropped)
        other = (index + 1) % max(2, self.streams)
        return StreamResult(
            stream=f"{index}→{other}",
            tx_port=f"port {index}",
            rx_port=f"port {other}",
            size=self.size,
            intended=intended,
            attempted=sent,
            sent=sent,
            received=sent - lost,
            duplicated=0,
            reordered=0,
            corrupt=0,
            latency=self._latency(sent - lost, sent / seconds, sum(end - begin for begin, end in away)),
            variation_ns=0.0,
            gaps=tuple(gaps[:_GAPS]),
            gaps_dropped=max(0, len(gaps) - _GAPS),
        )

    def _overflows(self, pps: float, seconds: float, away: list[tuple[float, float]]) -> Iterator[Gap]:
        """What the ring cannot hold: as a fluid that flows in at ``pps`` and out at the capacity but for the stalls."""
        filled, now = 0.0, 0.0
        for begin, end in [*away, (seconds, seconds)]:
            filled = max(0.0, filled + (pps - self.capacity_pps) * (begin - now))
            yield Gap(now, int(pps * now), math.ceil(max(0.0, filled - self.ring - _HAIR)))
            filled = min(filled, self.ring) + pps * (end - begin)
            yield Gap(begin, int(pps * begin), math.floor(max(0.0, filled - self.ring + _HAIR)))
            filled, now = min(filled, self.ring), end

    def _binomial(self, packets: int) -> int:
        """How many of ``packets`` are lost by chance: Poisson where few are, the normal distribution where many."""
        mean = packets * self.loss
        if mean > 50:
            drawn = round(self._random.gauss(mean, math.sqrt(mean * (1 - self.loss))))
            return max(0, min(packets, drawn))
        count, passed = 0, self._random.expovariate(1.0)
        while passed < mean:
            count, passed = count + 1, passed + self._random.expovariate(1.0)
        return min(packets, count)

    def _latency(self, received: int, pps: float, away: float) -> Histogram:
        """Two buckets: what passed at once, and what waited, on average for half a stall or for the full ring."""
        full = pps > self.capacity_pps
        wait = self.ring / self.capacity_pps if full else self.stall_seconds / 2
        waited = received if full else min(received, int(pps * away))
        buckets = ((self.latency_ns, received - waited), (self.latency_ns + round(wait * 1e9), waited))
        counts = {edge: 0 for edge, _ in buckets}
        for edge, count in buckets:
            counts[edge] += count
        return Histogram(1.0, tuple((edge, count) for edge, count in sorted(counts.items()) if count))


def _spoilt(trial: Trial, fault: Fault) -> Trial:
    """The trial with something wrong."""
    first, *others = trial.streams
    match fault:
        case "negative":
            return replace(trial, streams=(replace(first, received=first.sent + 5), *others))
        case "stretched":
            return replace(trial, seconds=trial.seconds * 1.1)
        case "stalled":
            lossy = replace(first, received=max(0, first.received - 1))
            return replace(trial, streams=(lossy, *others), stalls=Stalls(1e6, 1, 10.0, ((1e6, 1),)))
        case "unsent":
            half = first.sent // 2
            return replace(trial, streams=(replace(first, attempted=half, sent=half, received=half), *others))
        case "corrupt":
            return replace(trial, streams=(replace(first, corrupt=1), *others))
        case "foreign":
            return replace(trial, foreign=trial.received + 1000)
    return trial
