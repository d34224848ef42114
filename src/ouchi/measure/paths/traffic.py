"""A path with the generator at its ends: the device that searches measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ouchi.measure.generator.process import BURST, Generator, RoutedStream
from ouchi.measure.generator.rates import line_rate
from ouchi.measure.search.trial import Gap, Histogram, Stalls, StreamResult, Trial
from ouchi.measure.search.validity import RATE, assess

STALL = 100e-6
"""Seconds; longer interruptions of a worker count as stalls."""


@dataclass
class Traffic:
    """A :class:`~ouchi.measure.search.evidence.Device` of streams loaded into the generator.

    ``line_bits``: bit/s of the wire, None without one. ``ring``:
    frames that an RX ring holds. ``idle_sleep``: seconds that workers sleep when nothing is due; ``realtime``: under
    SCHED_FIFO. ``read_counters``: the path's counters since the last call.
    """

    generator: Generator
    loaded: Sequence[RoutedStream]
    line_bits: float | None = None
    ring: int = 1024
    idle_sleep: float = 0.0
    realtime: bool = False
    read_counters: Callable[[], Mapping[str, Any]] = dict
    _number: int = field(default=0, init=False)

    @property
    def streams(self) -> int:
        return len(self.loaded)

    @property
    def line_pps(self) -> float | None:
        """Line rate of the wires with these frames (pps, all streams); None without a wire."""
        if self.line_bits is None:
            return None
        return sum(line_rate(self.line_bits, routed.stream.mean_size) for routed in self.loaded)

    def trial(self, pps: float, seconds: float, label: str = "") -> Trial:
        """``pps`` of 0: unpaced; the rate sent then counts as the intended one."""
        self._number += 1
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.read_counters()  # the start of the interval
        counters = self.generator.run(
            [pps / len(self.loaded)] * len(self.loaded),
            seconds=seconds,
            stall=STALL,
            idle_sleep=self.idle_sleep if pps else 0,
            realtime=self.realtime and pps > 0,
        )
        number = self._number
        trial = read_trial(counters, self.loaded, pps=pps, seconds=seconds, number=number, label=label, started=started)
        trial = replace(trial, counters={**trial.counters, **self.read_counters()})
        return assess(trial, line_bits=self.line_bits, ring=self.ring)


def read_trial(
    counters: Mapping[str, Any],
    loaded: Sequence[RoutedStream],
    *,
    pps: float,
    seconds: float,
    number: int = 1,
    label: str = "",
    started: str = "",
) -> Trial:
    """The generator's counters as a trial, not assessed yet."""
    unit_ns = counters["unit_ns"]
    streams = tuple(
        _stream(one, routed, unit_ns, _backpressure(one["tx"], pps / len(loaded), _stalled(counters, routed.worker)))
        for one, routed in zip(counters["streams"], loaded, strict=True)
    )
    first = min(one["tx"]["first"] for one in counters["streams"])
    last = max(one["tx"]["last"] for one in counters["streams"])
    # The first frame of a paced stream is sent when its first burst is due: add the time of one burst.
    measured = last - first + min(BURST * len(loaded) / pps if pps else 0.0, seconds)
    if not pps:
        pps = sum(one["tx"]["accepted"] for one in counters["streams"]) / measured if measured > 0 else 0.0
    ports = {port["port"]: {key: value for key, value in port.items() if key != "port"} for port in counters["ports"]}
    workers = [
        {key: worker[key] for key in ("cpu", "loops", "stalls", "longest", "worst")} for worker in counters["workers"]
    ]
    return Trial(
        number=number,
        label=label,
        intended_pps=pps,
        intended_seconds=seconds,
        seconds=measured,
        streams=streams,
        stalls=_stalls(counters),
        foreign=sum(port["foreign"] + port["wrong_port"] for port in counters["ports"]),
        invalid=(),
        counters={
            "generator_ports": ports,
            "lateness_us": [_lateness(one, unit_ns) for one in counters["streams"]],
            "workers": workers,
        },
        started=started,
    )


def _stream(one: Mapping[str, Any], routed: RoutedStream, unit_ns: float, backpressure: int) -> StreamResult:
    tx, rx = one["tx"], one["rx"]
    received = rx["received"]
    return StreamResult(
        stream=routed.stream.name,
        tx_port=routed.tx_port,
        rx_port=routed.rx_port,
        size=routed.stream.mean_size,
        intended=tx["intended"],
        attempted=tx["accepted"] + tx["tx_full"],
        sent=tx["accepted"],
        received=received,
        duplicated=rx["duplicated"],
        reordered=rx["reordered"],
        corrupt=rx["corrupt"],
        latency=_histogram(rx["latency"], unit_ns),
        variation_ns=rx["variation"] * unit_ns / max(1, received - 1),
        gaps=tuple(Gap(begin, first, packets) for begin, first, packets in rx["gaps"]),
        gaps_dropped=max(0, rx["gaps_seen"] - len(rx["gaps"])) if rx["gap_frames_dropped"] else 0,
        tx_backpressure=backpressure,
    )


def _backpressure(tx: Mapping[str, Any], pps: float, stalled: float) -> int:
    """Frames that met a full TX ring when they were due (see :class:`StreamResult`); 0 for unpaced streams.

    Without those due in the ``stalled`` seconds of the worker: after a stall it catches up above its rate and may fill
    the ring itself. A burst that was not accepted whole left at most all of its frames behind. Differences within the
    tolerance of rates do not count.
    """
    seconds = tx["last"] - tx["first"] + BURST / pps if pps else 0.0
    due = max(tx["intended"], pps * seconds)
    missing: float = due - tx["accepted"]
    if not pps or missing <= RATE * due + BURST or missing > tx["partial_bursts"] * BURST:
        return 0
    return max(0, round(missing - stalled * pps))


def _histogram(counts: Sequence[Sequence[int]], unit_ns: float) -> Histogram:
    merged: dict[int, int] = {}
    for edge, count in counts:
        nanoseconds = round(edge * unit_ns)
        merged[nanoseconds] = merged.get(nanoseconds, 0) + count
    return Histogram(unit_ns, tuple(sorted(merged.items())))


def _stalled(counters: Mapping[str, Any], number: int) -> float:
    """The total length of a worker's stalls in seconds."""
    return sum(micros * count for micros, count in _worker_stalls(counters, number)) / 1e6


def _worker_stalls(counters: Mapping[str, Any], number: int) -> Iterator[tuple[float, int]]:
    """The stalls of a worker: (µs, how many)."""
    for edge, count in counters["workers"][number]["loop_gaps"]:
        micros = edge * counters["unit_ns"] / 1000
        if micros >= STALL * 1e6:
            yield micros, count


def _stalls(counters: Mapping[str, Any]) -> Stalls:
    """The stalls of all workers."""
    counts: dict[float, int] = {}
    for number in range(len(counters["workers"])):
        for micros, count in _worker_stalls(counters, number):
            counts[micros] = counts.get(micros, 0) + count
    return Stalls(
        longest_us=max(worker["longest"] for worker in counters["workers"]) * 1e6,
        count=sum(worker["stalls"] for worker in counters["workers"]),
        threshold_us=STALL * 1e6,
        histogram=tuple(sorted(counts.items())),
    )


def _lateness(one: Mapping[str, Any], unit_ns: float) -> dict[str, float | None]:
    """Percentiles of how late bursts were sent, in µs: the jitter of the generator."""
    histogram = _histogram(one["tx"]["lateness"], unit_ns)
    return {
        f"p{percent:g}": None if (edge := histogram.percentile(percent)) is None else edge / 1000
        for percent in (50, 99, 99.9, 100)
    }
