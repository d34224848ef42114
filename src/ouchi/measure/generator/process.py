"""The traffic generator's process: its ports, its streams, and running trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from ouchi.core.errors import Failed, OuchiError
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine.background import Launcher
from ouchi.measure.generator.client import Client
from ouchi.measure.generator.streams import Stream

CLIENT_TIMEOUT = 20
"""Seconds without a client after which the generator exits."""
BURST = 32
"""Frames that a worker sends at once."""
MAX_REQUEST = 900_000
"""Characters of frames in one request; a line may have a MiB."""


@dataclass(frozen=True, slots=True)
class GeneratorPort:
    """An open port. ``speed_mbps`` is 0 where the driver does not report it; ``up``: its link."""

    name: str
    driver: str
    mac: str
    up: bool
    speed_mbps: int


@dataclass(frozen=True, slots=True)
class RoutedStream:
    """A stream with its ports, worker and TX queue."""

    stream: Stream
    tx_port: str
    rx_port: str
    worker: int = 0
    queue: int = 0


class Generator:
    """A running generator; a context manager that ends the process.

    ``cpus``: the first for the control thread, which mostly sleeps, then one for each worker; a CPU may occur twice.
    ``folder``: a private folder for its socket and log. ``eal``: EAL options (``-a`` for NICs; by default no PCI device
    is probed).
    """

    def __init__(
        self,
        machine: Launcher,
        program: str,
        folder: str,
        cpus: Sequence[int],
        *,
        eal: Sequence[str] = ("--no-pci",),
        env: dict[str, str] | None = None,
    ) -> None:
        self.socket = f"{folder}/generator.sock"
        machine.remove(self.socket)
        lcores = ",".join(f"{number}@{cpu}" for number, cpu in enumerate(cpus))
        memory = ("--in-memory", "--single-file-segments", "--no-telemetry")
        options = (*memory, "--lcores", lcores, "--file-prefix", "ouchi-generator", *eal)
        argv = (program, self.socket, str(CLIENT_TIMEOUT), *options)
        self._process = machine.start(argv, log=f"{folder}/generator.log", env=env)
        try:
            self._client = self._connect()
            self._client.request("hello")
        except BaseException:
            self._process.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(
        self, name: str, device: str, *, meanwhile: Callable[[], None] | None = None, **options: int
    ) -> GeneratorPort:
        """Open a port: a PCI address or a virtual device with its arguments.

        ``options``: rx_queues, tx_queues, rx_ring, tx_ring (descriptors), mtu (bytes), worker, timeout (seconds).
        Opening a vhost-user server blocks until its client connects: ``meanwhile`` makes it connect. Raises
        :class:`~ouchi.measure.generator.client.RequestRejected` with DPDK's reason.
        """
        seconds = 30.0 + options.get("timeout", 10)
        answer = self._client.request(
            "open", port=name, device=device, meanwhile=meanwhile, timeout_seconds=seconds, **options
        )
        return _port(answer)

    def port(self, name: str) -> GeneratorPort:
        """The current state of a port."""
        return _port(self._client.request("port", port=name))

    def wait_for_links(self, names: Sequence[str], seconds: float) -> None:
        """Wait until the links of ports are up."""

        def probe() -> None:
            down = [name for name in names if not self.port(name).up]
            if down:
                raise NotYet(f"down: {', '.join(down)}")

        wait_for("the generator's links", probe, seconds=seconds, every=0.02)

    def load(self, streams: Sequence[RoutedStream]) -> None:
        """Replace the streams to be sent."""
        requests = [_stream_json(number, routed) for number, routed in enumerate(streams)]
        self._client.request("streams", streams=requests)
        for number, routed in enumerate(streams):
            for frames in _batches(routed.stream.frames):
                self._client.request("append", stream=number, frames=[frame.hex() for frame in frames])

    def run(
        self,
        rates: Sequence[float],
        *,
        seconds: float = 0,
        count: int = 0,
        drain: float = 0.1,
        ramp: float = 0,
        stall: float = 100e-6,
        idle_sleep: float = 0,
        realtime: bool = False,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send each stream at its rate (pps; 0: unpaced) and return the generator's counters.

        ``drain``: seconds of receiving after the last frame; ``ramp``: seconds from 0 to the full rate; ``stall``:
        interruptions of a worker above so many seconds count as stalls; ``idle_sleep``: seconds that workers sleep when
        nothing is due, on shared CPUs; ``realtime``: workers run under SCHED_FIFO, where the kernel allows it. On an
        exception such as KeyboardInterrupt the trial is stopped first.
        """
        for number, pps in enumerate(rates):
            self._client.request("rate", stream=number, pps=float(pps))
        number = self._client.request(
            "start",
            seconds=float(seconds),
            count=count,
            drain=float(drain),
            ramp=float(ramp),
            stall=stall,
            idle_sleep=float(idle_sleep),
            realtime=int(realtime),
        )["trial"]
        try:
            while True:
                event = self._client.event(30.0, "the generator's progress")
                if event["trial"] != number:  # of an interrupted trial
                    continue
                if event["event"] == "done":
                    return self._client.request("results")
                if progress:
                    progress(event)
        except BaseException:
            with suppress(OuchiError):
                self._client.request("stop", timeout_seconds=2)
            raise

    def close(self) -> None:
        """End the process; does nothing the second time."""
        with suppress(OuchiError):
            self._client.request("quit", timeout_seconds=2)
        self._client.close()
        self._process.end()

    def _connect(self) -> Client:
        def probe() -> Client:
            if reason := self._exit_reason():
                raise Failed.of(
                    "the traffic generator does not start",
                    where=self.socket,
                    found=reason[-600:],
                    remedy="see whether there are free hugepages: grep HugePages /proc/meminfo",
                )
            return Client(self.socket, self._exit_reason)

        return wait_for("the traffic generator", probe, seconds=30, every=0.02)

    def _exit_reason(self) -> str:
        status = self._process.status()
        return "" if status is None else f"it ended with status {status}: {self._process.log_tail()}"


def _port(answer: dict[str, Any]) -> GeneratorPort:
    return GeneratorPort(answer["port"], answer["driver"], answer["mac"].lower(), answer["up"], answer["speed_mbps"])


def _stream_json(number: int, routed: RoutedStream) -> dict[str, Any]:
    stream = routed.stream
    return {
        "stream": number,
        "from": routed.tx_port,
        "to": routed.rx_port,
        "pps": 0.0,
        "burst": BURST,
        "worker": routed.worker,
        "queue": routed.queue,
        "frames": [] if _batches(stream.frames) else [frame.hex() for frame in stream.frames],
        "order": list(stream.order),
        "fields": [field.to_json() for field in stream.fields],
    }


def _batches(frames: Sequence[bytes]) -> list[list[bytes]]:
    """The frames in batches that fit into a request each; empty when all fit into the first request."""
    if sum(map(len, frames)) * 2 < MAX_REQUEST:
        return []
    batches: list[list[bytes]] = [[]]
    room = MAX_REQUEST
    for frame in frames:
        if len(frame) * 2 + 4 > room:
            batches.append([])
            room = MAX_REQUEST
        batches[-1].append(frame)
        room -= len(frame) * 2 + 4
    return batches
