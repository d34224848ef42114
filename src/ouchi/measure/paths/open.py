"""Opens a path: its datapath, its guests and the generator; everything is removed when it is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ouchi.core.errors import Failed
from ouchi.core.instance import Instance
from ouchi.machine import processes
from ouchi.machine.background import Background, Launcher
from ouchi.measure.generator.process import Generator, RoutedStream
from ouchi.measure.paths.cpus import Placement
from ouchi.measure.paths.datapath import Datapath, Loop
from ouchi.measure.paths.kernel_bridge import KernelBridge
from ouchi.measure.paths.ovs import OvsDatapath
from ouchi.measure.paths.path import LEFT, RIGHT, Path, mac_of
from ouchi.measure.paths.traffic import Traffic
from ouchi.measure.paths.wires import Wire, is_pci
from ouchi.measure.request import BenchRequest
from ouchi.vnf.testpmd import start_testpmd
from ouchi.vnf.vm import GuestVm, VmConfig, VmPort, start_vm

SERVICE = "bench"
"""The process mark of the generator and the guests: the next run and ``down`` end those of a killed run."""

IDLE_SLEEP = 20e-6
"""Seconds that the generator sleeps when nothing is due, where guests share its CPUs."""


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What was built before: the generator's program, and for virtual machines an image and whether KVM works."""

    program: str
    image: str = ""
    kvm: bool = False


@dataclass
class OpenPath:
    """The open path; ``traffic`` returns what searches measure at a frame size. ``line_bits``: bit/s of its wires."""

    request: BenchRequest
    placement: Placement
    datapath: Datapath
    generator: Generator
    line_bits: float | None
    _last_counters: Mapping[str, Any] = field(default_factory=dict, init=False)

    def traffic(self, size: str, *, bidirectional: bool) -> Traffic:
        """Load the streams of a frame size (a number or the name of a mix), in one direction or both."""
        directions = self.request.path.directions[: None if bidirectional else 1]
        workers = len(self.placement.workers)
        streams = [
            RoutedStream(self.request.stream(number, size), tx_port, rx_port, worker=number % workers)
            for number, (tx_port, rx_port) in enumerate(directions)
        ]
        self.generator.load(streams)
        return Traffic(
            self.generator,
            streams,
            line_bits=self.line_bits,
            ring=self.datapath.ring_size,
            idle_sleep=IDLE_SLEEP if self.placement.shared else 0,
            realtime=self.placement.realtime,
            read_counters=self._counter_delta,
        )

    def _counter_delta(self) -> Mapping[str, Any]:
        """What the datapath counted since the last call."""
        now = self.datapath.counters()
        if not now:
            return {}
        delta = self.datapath.delta(self._last_counters or now, now)
        self._last_counters = now
        return {self.datapath.name: delta}


@contextmanager
def open_path(
    machine: Launcher, instance: Instance, artifacts: Artifacts, request: BenchRequest, *, placement: Placement
) -> Iterator[OpenPath]:
    """Open a path; OVS must run for paths through it. Everything created is removed at the end."""
    processes.end(instance.name, {SERVICE}, polite_seconds=3)  # of a killed run
    environment = {**instance.environment, processes.SERVICE_MARK: SERVICE}
    folder = f"{instance.run}/bench"
    machine.make_folder(folder, mode=0o700)
    path = request.path
    KernelBridge(machine, instance).remove()  # of a killed run; an OVS bridge goes when the next one is created
    datapath = _datapath(machine, instance, request, folder)
    with ExitStack() as cleanup:
        cleanup.callback(datapath.remove)
        datapath.create()
        for number, ports in enumerate(path.guests):
            cpus = (placement.main, placement.guests[number])
            guest: Background | GuestVm
            if request.guest == "vm" and isinstance(datapath, OvsDatapath):
                vm_ports = _vm_ports(path, datapath, ports)
                node, page_kib = placement.node, placement.page_kib
                config = VmConfig(cpus=cpus, kvm=artifacts.kvm, mtu=request.mtu, node=node, page_kib=page_kib)
                guest = start_vm(
                    machine, folder, number, artifacts.image, ports=vm_ports, config=config, env=environment
                )
            else:
                devices = [datapath.dpdk_device(port) for port in ports]
                guest = start_testpmd(
                    machine, folder, number, cpus=cpus, devices=devices, env=environment, mtu=request.mtu
                )
            cleanup.callback(guest.end)
            _attach_guest(datapath, ports, guest)
            if isinstance(guest, GuestVm):
                guest.wait_ready()
        generator_cpus = (placement.main, *placement.workers)
        generator = cleanup.enter_context(
            Generator(
                machine, artifacts.program, folder, generator_cpus, eal=_allow_list(request.wires), env=environment
            )
        )
        for number, end in enumerate(path.generator_ports):
            attach, worker = partial(datapath.attach, end), number % len(placement.workers)
            generator.open(end, datapath.dpdk_device(end), meanwhile=attach, mtu=request.mtu, worker=worker)
        if path.links:
            generator.wait_for_links(path.generator_ports, 10)
        datapath.forward()
        yield OpenPath(request, placement, datapath, generator, _line_bits(generator, request))


def _datapath(machine: Launcher, instance: Instance, request: BenchRequest, folder: str) -> Datapath:
    match request.path.kind:
        case "ovs":
            return OvsDatapath(
                machine=machine,
                instance=instance,
                path=request.path,
                folder=folder,
                mtu=request.mtu,
                wires=request.wires,
                by_port=request.template.tagged,
            )
        case "kernel":
            return KernelBridge(machine, instance, request.mtu)
        case "loop":
            return Loop()


def _allow_list(wires: Sequence[Wire]) -> tuple[str, ...]:
    """EAL options of the generator: the NICs at its ends of the wires, and no other PCI device."""
    nics = [wire.generator for wire in wires if is_pci(wire.generator)]
    return tuple(word for nic in nics for word in ("-a", nic)) or ("--no-pci",)


def _line_bits(generator: Generator, request: BenchRequest) -> float | None:
    """bit/s of the slowest wire; None without wires, or where a port does not report its speed."""
    if not request.wires or not all(is_pci(wire.generator) for wire in request.wires):
        return None
    return min(generator.port(end).speed_mbps for end in request.path.generator_ports) * 1e6 or None


def _vm_ports(path: Path, datapath: OvsDatapath, ports: tuple[str, str]) -> tuple[VmPort, VmPort]:
    """The ports of a guest, each with its MAC address and that of the next port on its side."""
    chain = [LEFT, *(port for guest in path.guests for port in guest), RIGHT]
    macs = {port: mac_of(path.ports.index(port)) for port in chain}
    left, right = (
        VmPort(datapath.socket(port), macs[port], macs[chain[chain.index(port) + step]])
        for port, step in zip(ports, (-1, 1), strict=True)
    )
    return left, right


def _attach_guest(datapath: Datapath, ports: Sequence[str], guest: Background | GuestVm) -> None:
    """Attach the guest's ports to OVS. Raises Failed, with the guest's output, when they do not come up."""
    try:
        for port in ports:
            datapath.attach(port)
    except Failed:
        raise Failed.of(
            "the guest's ports do not come up",
            found=guest.log_tail()[-600:] or "no output",
            expected="a guest with two vhost-user ports",
            remedy="see whether there are free hugepages: grep HugePages /proc/meminfo",
        ) from None
