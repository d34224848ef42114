"""A path with the generator at its ends: what searches measure on a real machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ouchi.measure.generator.process import Flow, Generator
from ouchi.measure.generator.rates import line_rate
from ouchi.measure.search.trial import Gap, Histogram, Stalls, StreamResult, Trial
from ouchi.measure.search.validity import RATE, judged

STALL = 100e-6
"""Seconds; a worker of the generator that is away for longer is said to have stalled."""


@dataclass
class Traffic:
    """A :class:`~ouchi.measure.search.device.Device` of flows that the generator has loaded.

    ``drain``: seconds of receiving after the last frame. ``line_bits``: bit/s of the wire, None without one.
    ``ring``: what the path's rings hold (packets). ``nap``: seconds that the generator sleeps when nothing is due,
    ``first``: and goes before everybody else on its CPU when it wakes. ``read_counters``: what else was counted since it was called last.
    """

    generator: Generator
    flows: Sequence[Flow]
    drain: float = 0.1
    line_bits: float | None = None
    ring: int = 1024
    nap: float = 0.0
    first: bool = False
    read_counters: Callable[[], Mapping[str, Any]] = dict
    _number: int = field(default=0, init=False)

    @property
    def streams(self) -> int:
        return len(self.flows)

    @property
    def line_pps(self) -> float | None:
        """What the wires carry of these frames at most (pps, all streams); None without a wire."""
        if self.line_bits is None:
            return None
        return sum(line_rate(self.line_bits, flow.stream.mean_size) for flow in self.flows)

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        """``pps`` of 0: as fast as the ports take them; what was offered is then what was intended."""
        self._number += 1
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        rates = [pps / len(self.flows)] * len(self.flows)
        self.read_counters()  # from here on
        told = self.generator.run(
            rates,
            seconds=seconds,
            drain=self.drain,
            stall=STALL,
            nap=self.nap if pps else 0,
            first=self.first and pps > 0,
        )
        trial = read_trial(told, self.flows, self._number, label, pps, seconds, began)
        trial = replace(trial, counters={**trial.counters, **self.read_counters()})
        burst = max(flow.burst for flow in self.flows)
        return judged(trial, line_bits=self.line_bits, burst=burst, ring=self.ring)


def read_trial(
    told: Mapping[str, Any], flows: Sequence[Flow], number: int, label: str, pps: float, seconds: float, began: str
) -> Trial:
    """The generator's counts as a trial, not yet judged."""
    stalls = _stalls(told)
    streams = tuple(
        _stream(one, flow, told["unit_ns"], _refused(one["sent"], flow, pps / len(flows), _away(told, flow.worker)))
        for one, flow in zip(told["streams"], flows, strict=True)
    )
    first = min(one["sent"]["first"] for one in told["streams"])
    last = max(one["sent"]["last"] for one in told["streams"])
    # The first frame of a paced stream is due when its first burst is: the time of one more burst belongs to it.
    bursts = [flow.burst * len(flows) / pps for flow in flows] if pps else [0.0]
    measured = last - first + min(max(bursts), seconds)
    if not pps:
        pps = sum(one["sent"]["accepted"] for one in told["streams"]) / measured if measured > 0 else 0.0
    ports = {port["port"]: {key: value for key, value in port.items() if key != "port"} for port in told["ports"]}
    counters = {
        "generator_ports": ports,
        "lateness_us": [_lateness(one, told["unit_ns"]) for one in told["streams"]],
        "workers": [
            {key: worker[key] for key in ("cpu", "loops", "stalls", "longest", "worst")} for worker in told["workers"]
        ],
    }
    foreign = sum(port["foreign"] + port["astray"] for port in told["ports"])
    return Trial(number, label, pps, seconds, measured, streams, stalls, foreign, (), counters, began)


def _stream(one: Mapping[str, Any], flow: Flow, unit_ns: float, refused: int) -> StreamResult:
    sent, got = one["sent"], one["got"]
    received = got["received"]
    return StreamResult(
        stream=flow.stream.name,
        sent_from=flow.sent_from,
        received_at=flow.received_at,
        size=flow.stream.mean_size,
        intended=sent["intended"],
        attempted=sent["accepted"] + sent["choked"],
        sent=sent["accepted"],
        received=received,
        duplicated=got["duplicated"],
        reordered=got["reordered"],
        corrupt=got["corrupt"],
        latency=_histogram(got["latency"], unit_ns),
        variation_ns=got["variation"] * unit_ns / max(1, received - 1),
        gaps=tuple(Gap(begin, first, packets) for begin, first, packets in got["gaps"]),
        gaps_dropped=max(0, got["gaps_seen"] - len(got["gaps"])) if got["gap_frames_dropped"] else 0,
        refused=refused,
    )


def _refused(sent: Mapping[str, Any], flow: Flow, pps: float, away: float) -> int:
    """Packets that found the port's ring full when they were due (see :class:`StreamResult`); 0 without a rate.

    Not those that came due in the ``away`` seconds of the worker: after an absence it is owing, sends faster than it was
    asked to and may well find the ring full for its own fault. A burst that was not taken whole left at most all of it
    behind. What is within the tolerance of rates is none.
    """
    seconds = sent["last"] - sent["first"] + flow.burst / pps if pps else 0.0
    due = max(sent["intended"], pps * seconds)
    missing: float = due - sent["accepted"]
    if not pps or missing <= RATE * due + flow.burst or missing > sent["refused"] * flow.burst:
        return 0
    return max(0, round(missing - away * pps))


def _histogram(counts: Sequence[Sequence[int]], unit_ns: float) -> Histogram:
    merged: dict[int, int] = {}
    for edge, count in counts:
        nanoseconds = round(edge * unit_ns)
        merged[nanoseconds] = merged.get(nanoseconds, 0) + count
    return Histogram(unit_ns, tuple(sorted(merged.items())))


def _away(told: Mapping[str, Any], number: int) -> float:
    """Seconds that a worker was away for longer than :data:`STALL`, all stalls together."""
    return sum(micros * count for micros, count in _absences(told, number)) / 1e6


def _absences(told: Mapping[str, Any], number: int) -> Iterator[tuple[float, int]]:
    """The stalls of a worker: µs, times."""
    for edge, count in told["workers"][number]["away"]:
        micros = edge * told["unit_ns"] / 1000
        if micros >= STALL * 1e6:
            yield micros, count


def _stalls(told: Mapping[str, Any]) -> Stalls:
    """Of all workers together."""
    counts: dict[float, int] = {}
    for number in range(len(told["workers"])):
        for micros, count in _absences(told, number):
            counts[micros] = counts.get(micros, 0) + count
    return Stalls(
        longest_us=max(worker["longest"] for worker in told["workers"]) * 1e6,
        count=sum(worker["stalls"] for worker in told["workers"]),
        threshold_us=STALL * 1e6,
        histogram=tuple(sorted(counts.items())),
    )


def _lateness(one: Mapping[str, Any], unit_ns: float) -> dict[str, float | None]:
    """How late bursts left: the jitter of what is sent, in µs."""
    histogram = _histogram(one["sent"]["lateness"], unit_ns)
    return {
        f"p{percent:g}": None if (edge := histogram.percentile(percent)) is None else edge / 1000
        for percent in (50, 99, 99.9, 100)
    }
