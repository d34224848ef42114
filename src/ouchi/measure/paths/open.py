"""A path with everything in place: carrier, guests, generator; taken apart again when it is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ouchi.core.errors import Failed, error
from ouchi.core.instance import Instance
from ouchi.machine import processes
from ouchi.machine.background import Background, Launcher
from ouchi.measure.generator.frames import Headers
from ouchi.measure.generator.process import Flow, Generator
from ouchi.measure.generator.streams import Stream, make_stream
from ouchi.measure.paths.carriers import Bridge, Carrier, Ring, Switch
from ouchi.measure.paths.cpus import Cpus
from ouchi.measure.paths.path import LEFT, RIGHT, Path, mac_of
from ouchi.measure.paths.traffic import Traffic
from ouchi.measure.paths.wires import Wire, is_card
from ouchi.plan.mempools import MTU
from ouchi.vnf.testpmd import start_guest
from ouchi.vnf.vm import Shape, Side, Virtual, start_virtual

SERVICE = "bench"
"""What marks the generator and the guests: the next run and ``down`` end those of a killed one."""

NAP = 20e-6
"""Seconds that the generator sleeps when nothing is due, where a guest needs its CPU."""

GuestKind = Literal["testpmd", "vm"]


@dataclass(frozen=True, slots=True)
class Ready:
    """What was made before: the generator's program, and for virtual machines an image and whether KVM works."""

    program: str
    image: str = ""
    kvm: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """How a path is opened: on which CPUs, for which MTU (bytes), over which wires, with which kind of guest.

    ``node``, ``page_kib``: where virtual machines have their memory, and the size of the hugepages it is made of.
    """

    path: Path
    cpus: Cpus
    mtu: int = MTU
    wires: tuple[Wire, ...] = ()
    guest: GuestKind = "testpmd"
    node: int = 0
    page_kib: int = 2048

    @property
    def through_guest_macs(self) -> tuple[str, str] | None:
        """Where frames from the left and from the right are addressed to when a guest routes them."""
        if self.guest != "vm" or not self.path.guests:
            return None
        first, last = self.path.guests[0][0], self.path.guests[-1][1]
        return mac_of(self.path.ports.index(first)), mac_of(self.path.ports.index(last))


class Opened:
    """The open path; ``traffic`` gives what searches measure for a frame size."""

    def __init__(self, setup: Setup, carrier: Carrier, generator: Generator, line_bits: float | None) -> None:
        self.setup, self.carrier, self.generator = setup, carrier, generator
        self._line_bits = line_bits
        self._before: Mapping[str, Any] = {}

    def traffic(self, size: str, flows: int, *, both: bool) -> Traffic:
        """Load the streams of a frame size (a number or the name of a mix), in one direction or both."""
        directions = self.setup.path.directions[: 2 if both else 1]
        workers = len(self.setup.cpus.workers)
        loaded = [
            Flow(
                stream_of(number, f"{go} to {come}", size, flows, self.setup.through_guest_macs),
                go,
                come,
                worker=number % workers,
            )
            for number, (go, come) in enumerate(directions)
        ]
        self.generator.load(loaded)
        return Traffic(
            self.generator,
            loaded,
            line_bits=self._line_bits,
            ring=self.carrier.ring,
            nap=NAP if self.setup.cpus.shared else 0,
            first=self.setup.cpus.urgent,
            read_counters=self._counted,
        )

    def _counted(self) -> Mapping[str, Any]:
        """What the carrier counted since the last reading."""
        now = self.carrier.counters()
        if not now:
            return {}
        spent = self.carrier.difference(self._before or now, now)
        self._before = now
        return {self.carrier.name: spent}


@contextmanager
def open_path(machine: Launcher, instance: Instance, ready: Ready, setup: Setup) -> Iterator[Opened]:
    """Open a path; OVS must run when it is in it. Whatever was made for it is taken away at the end."""
    processes.end(instance.name, {SERVICE}, polite_seconds=3)  # of a run that was killed
    environment = {**instance.environment, processes.SERVICE_MARK: SERVICE}
    folder = f"{instance.run}/bench"
    machine.make_folder(folder, mode=0o700)
    path, cpus = setup.path, setup.cpus
    Bridge(machine, instance).remove()  # its devices as well; a switch's go when the next one is made
    carrier = _carrier(machine, instance, setup, folder)
    with ExitStack() as undo:
        undo.callback(carrier.remove)
        carrier.build()
        for number, ports in enumerate(path.guests):
            guest = _start_guest(machine, ready, setup, carrier, folder, number, environment)
            undo.callback(guest.end)
            _attach_guest(carrier, ports, guest)
            if isinstance(guest, Virtual):
                guest.wait_ready()
        eal = _allowed(setup.wires)
        generator = undo.enter_context(
            Generator(machine, ready.program, folder, (cpus.main, *cpus.workers), eal=eal, env=environment)
        )
        for number, end in enumerate(path.generator_ports):
            generator.open(
                end, carrier.device(end), meanwhile=partial(carrier.attach, end), mtu=setup.mtu,
                worker=number % len(cpus.workers),
            )  # fmt: skip
        if path.links:
            generator.wait_for_links(path.generator_ports, 10)
        carrier.join()
        yield Opened(setup, carrier, generator, _line(generator, setup))


def _carrier(machine: Launcher, instance: Instance, setup: Setup, folder: str) -> Carrier:
    if setup.path.switched:
        return Switch(machine, instance, setup.path, folder, setup.mtu, setup.wires)
    return Bridge(machine, instance, setup.mtu) if setup.path.carrier == "kernel" else Ring()


def _allowed(wires: Sequence[Wire]) -> tuple[str, ...]:
    """DPDK's options for the generator: the cards at its ends of the wires, and no other PCI device."""
    cards = [wire.generator for wire in wires if is_card(wire.generator)]
    return tuple(word for card in cards for word in ("-a", card)) or ("--no-pci",)


def _line(generator: Generator, setup: Setup) -> float | None:
    """bit/s of the slowest wire; None where there is none, or where not every port knows its speed."""
    if not setup.wires or not all(is_card(wire.generator) for wire in setup.wires):
        return None
    return min(generator.port(end).speed_mbps for end in setup.path.generator_ports) * 1e6 or None


def _start_guest(
    machine: Launcher,
    ready: Ready,
    setup: Setup,
    carrier: Carrier,
    folder: str,
    number: int,
    environment: Mapping[str, str],
) -> Background | Virtual:
    cpus, ports = (setup.cpus.main, setup.cpus.guests[number]), setup.path.guests[number]
    if setup.guest == "testpmd" or not isinstance(carrier, Switch):
        devices = [carrier.device(port) for port in ports]
        return start_guest(machine, folder, number, cpus, devices, environment, mtu=setup.mtu)
    chain = [LEFT, *(port for guest in setup.path.guests for port in guest), RIGHT]
    macs = {port: mac_of(setup.path.ports.index(port)) for port in chain}
    left, right = (
        Side(carrier.socket(port), macs[port], macs[chain[chain.index(port) + step]])
        for port, step in zip(ports, (-1, 1), strict=True)
    )
    shape = Shape(cpus=cpus, kvm=ready.kvm, mtu=setup.mtu, node=setup.node, page_kib=setup.page_kib)
    return start_virtual(machine, folder, number, ready.image, (left, right), shape, environment)


def _attach_guest(carrier: Carrier, ports: Sequence[str], guest: Background | Virtual) -> None:
    """Join the guest's ports to OVS. Raises Failed, with what the guest said, when they do not come."""
    try:
        for port in ports:
            carrier.attach(port)
    except Failed:
        raise Failed(
            error(
                "the guest's ports do not come up",
                found=guest.log_tail()[-600:] or "it says nothing",
                expected="a guest with two vhost-user ports",
                remedy="see whether there are free hugepages: grep HugePages /proc/meminfo",
            )
        ) from None


def stream_of(number: int, name: str, size: str, flows: int, macs: tuple[str, str] | None = None) -> Stream:
    """The stream of a direction (0: from the left), at least 64 bytes a frame. Raises BadInput.

    Each direction has addresses of its own (RFC 2544's 198.18.0.0/15), so that nothing is taken for an answer.
    ``macs``: where each direction's frames are addressed to, when not to the other end.
    """
    headers = Headers(
        src_mac=mac_of(number),
        dst_mac=macs[number] if macs else mac_of(1 - number),
        src_ip=f"198.{18 + number}.0.1",
        dst_ip=f"198.{19 - number}.0.1",
        src_port=1024,
        dst_port=1024,
    )
    return make_stream(name, headers, size=size, flows=flows)
