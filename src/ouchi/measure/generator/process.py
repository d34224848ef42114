"""The traffic generator: its process, its ports, what it sends, and what a trial came to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from ouchi.core.errors import Failed, OuchiError, error
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine.background import Launcher
from ouchi.measure.generator.client import Client
from ouchi.measure.generator.streams import Stream

PATIENCE = 20
"""Seconds without a client after which the generator ends by itself."""
LINE = 900_000
"""Bytes of frames in one request; a line may have a MiB."""


@dataclass(frozen=True, slots=True)
class Port:
    """An open port. ``speed_mbps`` is 0 where the driver does not know; ``up``: its link was, when it was asked."""

    name: str
    driver: str
    mac: str
    up: bool
    speed_mbps: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A stream on its way: from which port, to which one, sent in bursts of how many, by which worker, on which queue."""

    stream: Stream
    sent_from: str
    received_at: str
    burst: int = 32
    worker: int = 0
    queue: int = 0


class Generator:
    """A running generator. A context manager: leaving it ends the process.

    ``cpus``: the first for the part that talks (it sleeps between), the others one worker each; a CPU may come twice.
    ``folder``: a private folder for its socket and log. ``eal``: more of DPDK's options (``-a`` of cards; without any,
    no PCI device is touched).
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
        argv = [
            program, self.socket, str(PATIENCE), "--in-memory", "--single-file-segments", "--no-telemetry",
            "--lcores", lcores, "--file-prefix", "ouchi-generator", *eal,
        ]  # fmt: skip
        self._process = machine.start(argv, log=f"{folder}/generator.log", env=env)
        try:
            self._client = self._connect()
            self._client.ask("hello")
        except BaseException:
            self._process.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, name: str, device: str, *, meanwhile: Callable[[], None] | None = None, **wishes: int) -> Port:
        """Open a port: a PCI address or a virtual device with its arguments.

        ``wishes``: rx_queues, tx_queues, rx_ring, tx_ring (descriptors), mtu (bytes), worker, patience (seconds).
        A vhost-user server is open when its client has come: ``meanwhile`` sees to that. Raises
        :class:`~ouchi.measure.generator.client.Refused` with DPDK's reason.
        """
        seconds = 30.0 + wishes.get("patience", 10)
        told = self._client.ask("open", port=name, device=device, meanwhile=meanwhile, within=seconds, **wishes)
        return _port(told)

    def port(self, name: str) -> Port:
        """A port as it is now."""
        return _port(self._client.ask("port", port=name))

    def wait_for_links(self, names: Sequence[str], seconds: float) -> None:
        """Wait until the links of ports are up."""

        def probe() -> None:
            down = [name for name in names if not self.port(name).up]
            if down:
                raise NotYet(f"down: {', '.join(down)}")

        wait_for("the generator's links", probe, seconds=seconds, every=0.02)

    def load(self, flows: Sequence[Flow]) -> None:
        """Set what is to be sent, in place of what was."""
        self._client.ask("streams", streams=[_stream(number, flow) for number, flow in enumerate(flows)])
        for number, flow in enumerate(flows):
            for frames in _batches(flow.stream.frames):
                self._client.ask("append", stream=number, frames=[frame.hex() for frame in frames])

    def run(
        self,
        rates: Sequence[float],
        *,
        seconds: float = 0,
        count: int = 0,
        drain: float = 0.1,
        ramp: float = 0,
        stall: float = 100e-6,
        nap: float = 0,
        first: bool = False,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send every stream at its rate (pps; 0: as fast as the port takes) and return the generator's counts.

        ``drain``: seconds of receiving after the last frame; ``ramp``: seconds from nothing to the full rate; ``nap``:
        seconds that workers sleep when nothing is due, where others need their CPUs; ``first``: when they wake they run
        at once, whoever is on the CPU (SCHED_FIFO), as far as the kernel lets them. An interrupted run is stopped before the interruption goes on.
        """
        for number, pps in enumerate(rates):
            self._client.ask("rate", stream=number, pps=float(pps))
        number = self._client.ask(
            "start",
            seconds=float(seconds),
            count=count,
            drain=float(drain),
            ramp=float(ramp),
            stall=stall,
            nap=float(nap),
            first=int(first),
        )["trial"]
        try:
            while True:
                event = self._client.event(30.0, "the generator's progress")
                if event["trial"] != number:  # of one that was interrupted
                    continue
                if event["event"] == "done":
                    return self._client.ask("results")
                if progress:
                    progress(event)
        except BaseException:
            with suppress(OuchiError):
                self._client.ask("stop", within=2)
            raise

    def close(self) -> None:
        """End it. Twice is fine."""
        with suppress(OuchiError):
            self._client.ask("quit", within=2)
        self._client.close()
        self._process.end()

    def _connect(self) -> Client:
        def probe() -> Client:
            if gone := self._fate():
                raise Failed(
                    error(
                        "the traffic generator does not start",
                        where=self.socket,
                        found=gone[-600:],
                        remedy="see whether there are free hugepages: grep HugePages /proc/meminfo",
                    )
                )
            return Client(self.socket, self._fate)

        return wait_for("the traffic generator", probe, seconds=30, every=0.02)

    def _fate(self) -> str:
        status = self._process.status()
        return "" if status is None else f"it ended with status {status}: {self._process.log_tail()}"


def _port(told: dict[str, Any]) -> Port:
    return Port(told["port"], told["driver"], told["mac"].lower(), told["up"], told["speed_mbps"])


def _stream(number: int, flow: Flow) -> dict[str, Any]:
    stream = flow.stream
    whole = sum(map(len, stream.frames)) * 2 < LINE
    return {
        "stream": number,
        "from": flow.sent_from,
        "to": flow.received_at,
        "pps": 0.0,
        "burst": flow.burst,
        "worker": flow.worker,
        "queue": flow.queue,
        "frames": [frame.hex() for frame in stream.frames] if whole else [],
        "order": list(stream.order),
        "fields": [field.to_json() for field in stream.fields],
    }


def _batches(frames: Sequence[bytes]) -> list[list[bytes]]:
    """The frames in parts that fit into a request each; none when they all fit into the first one."""
    if sum(map(len, frames)) * 2 < LINE:
        return []
    batches: list[list[bytes]] = [[]]
    room = LINE
    for frame in frames:
        if len(frame) * 2 + 4 > room:
            batches.append([])
            room = LINE
        batches[-1].append(frame)
        room -= len(frame) * 2 + 4
    return batches
