"""What joins the ends of a path: a ring in the generator, OVS-DPDK, or the kernel's bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.measure.paths import kernel_bridge as kernel_bench
from ouchi.measure.paths import ovs as bench
from ouchi.measure.paths.path import RING, Path, mac_of, virtio_user
from ouchi.measure.paths.wires import Wire
from ouchi.parts import device
from ouchi.plan.mempools import MTU
from ouchi.steps.journal import Journal


class Carrier(Protocol):
    """What is between the generator's ports.

    In this order: ``build``, then each port is opened as ``device`` says while ``attach`` sees to its other end, then
    ``join``; ``remove`` at the end, whatever came before.
    """

    @property
    def name(self) -> str:
        """What its counters are filed under; empty where there are none."""

    @property
    def ring(self) -> int:
        """Frames that a receiving port's ring holds while the generator is away."""

    def build(self) -> None:
        """Make it, without ports. Whatever a killed run left goes first."""

    def device(self, end: str) -> str:
        """The DPDK device by which the generator, or a guest, opens a port."""

    def attach(self, end: str) -> None:
        """Join a port that is open or about to be."""

    def join(self) -> None:
        """From here on frames pass."""

    def unlearnt(self) -> list[str]:
        """What it does not know yet of addresses and flows."""

    def counters(self) -> Mapping[str, Any]:
        """What it has counted."""

    def difference(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was counted between two readings."""

    def remove(self) -> None:
        """Take it away; not there is fine."""


class Ring:
    """Nothing but a ring of DPDK's: the generator receives what it sends."""

    name = ""
    ring = RING

    def build(self) -> None:
        """There is nothing to make."""

    def device(self, end: str) -> str:
        return "net_ring0"

    def attach(self, end: str) -> None:
        """There is no other end."""

    def join(self) -> None:
        """It carries from the start."""

    def unlearnt(self) -> list[str]:
        return []

    def counters(self) -> Mapping[str, Any]:
        return {}

    def difference(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}

    def remove(self) -> None:
        """It ends with the generator."""


@dataclass(frozen=True, slots=True)
class Switch:
    """The OVS-DPDK of ``up``: a bridge of its own with vhost-user ports, or the cards at the ends of wires.

    ``folder`` is where the ports' sockets are.
    """

    machine: Machine
    instance: Instance
    path: Path
    folder: str
    mtu: int = MTU
    wires: Sequence[Wire] = ()

    @property
    def name(self) -> str:
        return "ovs"

    @property
    def ring(self) -> int:
        return RING

    def build(self) -> None:
        for end in self.path.ports:
            self.machine.remove(self.socket(end))
        # OVS makes it to last: it would outlive a bench that is killed, and the switch too.
        device.note(self.machine, Journal(self.machine, self.instance.state), bench.BRIDGE)
        bench.build(self.machine, self.instance)

    def device(self, end: str) -> str:
        if wire := self._wire(end):
            return wire.generator
        number = self.path.ports.index(end)
        return virtio_user(number, self.socket(end), mac=mac_of(number))

    def attach(self, end: str) -> None:
        if wire := self._wire(end):
            bench.attach_device(self.machine, self.instance, end, wire.switch, mtu=self.mtu)
        else:
            bench.attach_socket(self.machine, self.instance, end, self.socket(end), mtu=self.mtu)

    def join(self) -> None:
        bench.join(self.machine, self.instance, self.path.links)

    def unlearnt(self) -> list[str]:
        return bench.unlearnt(self.machine, self.instance, self.path.links)

    def counters(self) -> Mapping[str, Any]:
        return bench.counters(self.machine, self.instance)

    def difference(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        return bench.difference(before, after)

    def remove(self) -> None:
        bench.remove(self.machine, self.instance)
        device.forget(Journal(self.machine, self.instance.state), bench.BRIDGE)

    def socket(self, end: str) -> str:
        """The vhost-user socket of a port: whoever opens the port listens on it, OVS comes."""
        return f"{self.folder}/{end}.sock"

    def _wire(self, end: str) -> Wire | None:
        ports = self.path.generator_ports
        return self.wires[ports.index(end)] if self.path.wired and end in ports else None


@dataclass(frozen=True, slots=True)
class Bridge:
    """The kernel's own bridge between two veth pairs, at whose outer ends the generator has raw sockets."""

    machine: Machine
    instance: Instance
    mtu: int = MTU

    @property
    def name(self) -> str:
        return "kernel"

    @property
    def ring(self) -> int:
        return kernel_bench.RING

    def build(self) -> None:
        kernel_bench.build(self.machine, self._journal, self.instance, mtu=self.mtu)

    def device(self, end: str) -> str:
        return kernel_bench.af_packet(kernel_bench.ENDS.index(end), kernel_bench.outer(end), mtu=self.mtu)

    def attach(self, end: str) -> None:
        """The veth pairs are joined already."""

    def join(self) -> None:
        """It carries from the start."""

    def unlearnt(self) -> list[str]:
        known = kernel_bench.learnt(self.machine, self.instance)
        return [
            f"no address behind {end}"
            for number, end in enumerate(kernel_bench.ENDS)
            if (kernel_bench.inner(end), mac_of(number)) not in known
        ]

    def counters(self) -> Mapping[str, Any]:
        return kernel_bench.counters(self.machine, self.instance)

    def difference(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        return kernel_bench.difference(before, after)

    def remove(self) -> None:
        kernel_bench.remove(self.machine, self._journal, self.instance)

    @property
    def _journal(self) -> Journal:
        return Journal(self.machine, self.instance.state)
