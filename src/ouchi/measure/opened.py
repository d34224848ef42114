"""A path with everything in place: bridge, guest, generator; taken apart again when it is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ouchi.dataplane import bench
from ouchi.errors import Failed, error
from ouchi.instance import Instance
from ouchi.machine import processes
from ouchi.machine.background import Background
from ouchi.machine.local import LocalMachine
from ouchi.measure.frames import Headers
from ouchi.measure.generator import Flow, Generator
from ouchi.measure.guest import start_guest
from ouchi.measure.paths import RING, Path, mac_of, virtio_user
from ouchi.measure.streams import Stream, make_stream
from ouchi.measure.traffic import Traffic
from ouchi.measure.trial import Trial
from ouchi.plan import Plan

SERVICE = "bench"
"""What marks the generator and the guest: the next run and ``down`` end those of a killed one."""
TEACH_PPS, TEACH_SECONDS, TEACH_TRIES = 2000.0, 0.2, 10


@dataclass(frozen=True, slots=True)
class Cpus:
    """Where the generator and a guest run: one for what sleeps most of the time, one worker each."""

    main: int
    worker: int
    guest: int

    @property
    def shared(self) -> bool:
        """Whether the generator and the guest have one CPU between them."""
        return self.worker == self.guest


def choose_cpus(plan: Plan) -> Cpus:
    """The plan's CPUs for guests, as whoever measures is one: never those of the PMDs where there are others."""
    free = (
        [cpu for cpu in plan.pools.dedicated if cpu not in plan.pools.pmd]
        or list(plan.pools.dedicated)
        or list(plan.pools.host)
    )
    return Cpus(min(plan.pools.host), free[0], free[1] if len(free) > 1 else free[0])


class Opened:
    """The open path; ``traffic`` gives what searches measure for a frame size."""

    def __init__(self, machine: LocalMachine, instance: Instance, path: Path, generator: Generator) -> None:
        self._machine, self._instance, self.path, self.generator = machine, instance, path, generator
        self._before: Mapping[str, Any] = {}

    def traffic(self, size: str, flows: int, *, both: bool) -> Traffic:
        """Load the streams of a frame size (a number or the name of a mix), in one direction or both."""
        if not self.path.switched:
            directions = [("left", "left")]
        else:
            directions = [("left", "right"), ("right", "left")][: 2 if both else 1]
        loaded = [
            Flow(stream_of(number, f"{go} to {come}", size, flows), go, come)
            for number, (go, come) in enumerate(directions)
        ]
        self.generator.load(loaded)
        return Traffic(self.generator, loaded, ring=RING, read_counters=self._counted)

    def teach(self, traffic: Traffic) -> None:
        """Send a few frames until none is lost: flows and addresses are known then. Raises Failed when that never comes."""
        for _ in range(TEACH_TRIES):
            last = traffic.trial(TEACH_PPS, TEACH_SECONDS, "teach")
            if last.sent and last.lost == 0:
                return
        raise Failed(
            error(
                f"the path {self.path.name} does not carry frames",
                found=_by_stream(last),
                expected=f"no loss at {TEACH_PPS:,.0f} pps",
                remedy="ouchi status; ouchi logs ovs-vswitchd",
            )
        )

    def counters(self) -> Mapping[str, Any]:
        """What OVS has counted; nothing where it is not in the path."""
        return bench.counters(self._machine, self._instance) if self.path.switched else {}

    def _counted(self) -> Mapping[str, Any]:
        """What OVS counted since the last reading."""
        now = self.counters()
        if not now:
            return {}
        spent = bench.difference(self._before or now, now)
        self._before = now
        return {"ovs": spent}


@contextmanager
def open_path(machine: LocalMachine, instance: Instance, program: str, path: Path, cpus: Cpus) -> Iterator[Opened]:
    """Open a path; OVS must run when it is in it. Whatever was made for it is taken away at the end."""
    processes.end(instance.name, {SERVICE}, polite_seconds=3)  # of a run that was killed
    environment = {**instance.environment, processes.SERVICE_MARK: SERVICE}
    folder = f"{instance.run}/bench"
    machine.make_folder(folder, mode=0o700)
    sockets = {end: f"{folder}/{end}.sock" for end in path.ports}
    for socket in sockets.values():
        machine.remove(socket)
    with ExitStack() as undo:
        if path.switched:
            undo.callback(bench.remove, machine, instance)
            bench.build(machine, instance)
        if path.guest_ports:
            devices = [
                virtio_user(2 + number, sockets[end], mac=mac_of(2 + number))
                for number, end in enumerate(path.guest_ports)
            ]
            guest = start_guest(machine, folder, (cpus.main, cpus.guest), devices, environment)
            undo.callback(guest.end)
            _attach_guest(machine, instance, path, sockets, guest)
        generator = undo.enter_context(Generator(machine, program, folder, (cpus.main, cpus.worker), env=environment))
        if path.switched:
            for number, end in enumerate(("left", "right")):
                generator.open(
                    end, virtio_user(number, sockets[end], mac=mac_of(number)),
                    meanwhile=partial(bench.attach, machine, instance, end, sockets[end]),
                )  # fmt: skip
            generator.wait_for_links(("left", "right"), 10)
            bench.join(machine, instance, path.links)
        else:
            generator.open("left", "net_ring0")
        yield Opened(machine, instance, path, generator)


def _attach_guest(
    machine: LocalMachine, instance: Instance, path: Path, sockets: Mapping[str, str], guest: Background
) -> None:
    """Join the guest's ports to OVS. Raises Failed, with what the guest said, when they do not come."""
    try:
        for end in path.guest_ports:
            bench.attach(machine, instance, end, sockets[end])
    except Failed:
        raise Failed(
            error(
                "the guest's ports do not come up",
                found=guest.said()[-600:] or "it says nothing",
                expected="testpmd with two virtio-user ports",
                remedy="see whether there are free hugepages: grep HugePages /proc/meminfo",
            )
        ) from None


def stream_of(number: int, name: str, size: str, flows: int) -> Stream:
    """The stream of a direction (0: from the left), at least 64 bytes a frame. Raises BadInput.

    Each direction has addresses of its own (RFC 2544's 198.18.0.0/15), so that nothing is taken for an answer.
    """
    headers = Headers(
        src_mac=mac_of(number),
        dst_mac=mac_of(1 - number),
        src_ip=f"198.{18 + number}.0.1",
        dst_ip=f"198.{19 - number}.0.1",
        src_port=1024,
        dst_port=1024,
    )
    return make_stream(name, headers, size=size, flows=flows)


def _by_stream(trial: Trial) -> str:
    return "; ".join(f"{one.stream}: {one.sent} sent, {one.received} received" for one in trial.streams)
