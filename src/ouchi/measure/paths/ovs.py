"""Paths through OVS-DPDK: a bridge of their own with vhost-user ports, or with the NICs at the ends of wires.

Untagged streams: each link is a VLAN of the bridge with two access ports, on which OVS learns MAC addresses and
switches as in any bridge (``NORMAL``); frames carry no tag. Tagged streams and captures (``by_port``), which access
ports would drop, are forwarded by a flow from port to port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ouchi.clients import ovs
from ouchi.core.errors import Failed
from ouchi.core.instance import Instance
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.measure.paths.datapath import Datapath, subtract
from ouchi.measure.paths.path import Path, mac_of
from ouchi.measure.paths.wires import Wire
from ouchi.parts import device
from ouchi.plan.mempools import MTU
from ouchi.steps.journal import Journal
from ouchi.vnf.vm import VIRTQUEUE_SIZE

BRIDGE = "ouchi-bench"

_DELETE_BRIDGE = ("--", "--if-exists", "del-br", BRIDGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OvsDatapath(Datapath):
    """The bridge that is measured. ``folder``: of the vhost-user sockets; ``mtu``: bytes, of every port."""

    name: ClassVar[str] = "ovs"
    ring_size: ClassVar[int] = VIRTQUEUE_SIZE

    machine: Machine
    instance: Instance
    path: Path
    folder: str
    mtu: int = MTU
    wires: Sequence[Wire] = ()
    by_port: bool = False

    def create(self) -> None:
        for end in self.path.ports:
            self.machine.remove(self.socket(end))
        # OVS makes the bridge's device persistent: it would outlive a killed bench, and OVS itself.
        device.note(Journal(self.machine, self.instance.state), BRIDGE)
        settings = ("datapath_type=netdev", "fail_mode=secure", f"external_ids:ouchi={self.instance.name}")
        add = ("--", "add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, *settings)
        self._vsctl(*_DELETE_BRIDGE, *add, wait=30)

    def dpdk_device(self, end: str) -> str:
        if wire := self._wire(end):
            return wire.generator
        number = self.path.ports.index(end)
        return virtio_user(number, self.socket(end), mac=mac_of(number))

    def attach(self, end: str) -> None:
        """Add the OVS port of an end. Raises Failed with OVS's reason."""
        if wire := self._wire(end):
            self._attach_device(end, wire.switch)
        else:
            self._attach_socket(end)

    def forward(self) -> None:
        self._ofctl("del-flows", BRIDGE)
        for vlan, (one, other) in enumerate(self.path.links, 1):
            if one == other:
                self._add_flow(one, "in_port")
            elif self.by_port:
                self._add_flow(one, f"output:{port_name(other)}")
                self._add_flow(other, f"output:{port_name(one)}")
            else:
                for end in (one, other):
                    self._vsctl("set", "Port", port_name(end), f"tag={vlan}")
                    self._add_flow(end, "NORMAL")

    def not_learnt(self) -> list[str]:
        flows = parse_flows(
            ovs.appctl(self.machine, self.instance, "dpctl/dump-flows", "--names", "netdev@ovs-netdev").stdout
        )
        ways = [
            (vlan, *way)
            for vlan, (one, other) in enumerate(self.path.links, 1)
            for way in dict.fromkeys(((one, other), (other, one)))
        ]
        addresses = set() if self.by_port else self._addresses()
        missing = []
        for vlan, source, target in ways:
            if not self.by_port and source != target and (source, vlan) not in addresses:
                missing.append(f"no MAC address learnt on {source}")
            if (port_name(source), port_name(target)) not in flows:
                missing.append(f"no datapath flow from {source} to {target}")
        return missing

    def counters(self) -> Mapping[str, Any]:
        """Of each port (from the datapath: the database lags by seconds) and each PMD thread."""
        ports = parse_ports(self._ofctl("dump-ports", BRIDGE))
        pmd = parse_pmd(ovs.appctl(self.machine, self.instance, "dpif-netdev/pmd-stats-show").stdout)
        return {"ports": ports, "pmd": pmd}

    def delta(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        """The counters between two readings, and the busy share of each PMD thread's cycles."""
        pmd = {name: {**spent, **_load(spent)} for name, spent in subtract(before["pmd"], after["pmd"]).items()}
        return {"ports": subtract(before["ports"], after["ports"]), "pmd": pmd}

    def remove(self) -> None:
        self._vsctl(*_DELETE_BRIDGE, wait=30)
        device.forget(Journal(self.machine, self.instance.state), BRIDGE)

    def socket(self, end: str) -> str:
        """The vhost-user socket of a port: the generator or the guest listens, OVS connects."""
        return f"{self.folder}/{end}.sock"

    def _wire(self, end: str) -> Wire | None:
        ports = self.path.generator_ports
        return self.wires[ports.index(end)] if self.path.wired and end in ports else None

    def _attach_socket(self, end: str) -> None:
        socket = self.socket(end)

        def probe() -> None:
            if not self.machine.exists(socket):
                raise NotYet("it does not exist")

        # OVS retries only once a second.
        wait_for(f"the socket {socket}", probe, seconds=10, every=0.01)
        self._add_port(end, "dpdkvhostuserclient", f"options:vhost-server-path={ovs.quote(socket)}")

    def _attach_device(self, end: str, dpdk_device: str) -> None:
        self._add_port(end, "dpdk", f"options:dpdk-devargs={ovs.quote(dpdk_device)}")
        reason = self._vsctl("get", "Interface", port_name(end), "error").strip()
        if reason != "[]":
            raise Failed.of(
                f"OVS cannot open {dpdk_device}",
                found=reason.strip('"'),
                expected="a device that this DPDK supports, and that is on OVS's allow list",
                remedy="name the NIC under nics in your site file; ouchi logs ovs-vswitchd",
            )

    def _add_port(self, end: str, kind: str, option: str) -> None:
        name = port_name(end)
        mtu = [f"mtu_request={self.mtu}"] if self.mtu != MTU else []
        self._vsctl(
            "--", "add-port", BRIDGE, name, "--", "set", "Interface", name, f"type={kind}", option, *mtu, wait=30
        )

    def _add_flow(self, end: str, action: str) -> None:
        self._ofctl("add-flow", BRIDGE, f"in_port={port_name(end)},actions={action}")

    def _addresses(self) -> set[tuple[str, int]]:
        """The ends and VLANs on which OVS has learnt an address."""
        learnt = parse_addresses(ovs.appctl(self.machine, self.instance, "fdb/show", BRIDGE).stdout)
        numbers = {end: self._vsctl("get", "Interface", port_name(end), "ofport").strip() for end in self.path.ports}
        return {(end, vlan) for end, number in numbers.items() for port, vlan in learnt if port == number}

    def _vsctl(self, *words: str, wait: float = 0) -> str:
        return ovs.vsctl(self.machine, self.instance, *words, wait=wait)

    def _ofctl(self, *words: str) -> str:
        argv = ("ovs-ofctl", "-O", "OpenFlow14", "--timeout=10", *words)
        return self.machine.run(argv, timeout=15, env={"OVS_RUNDIR": self.instance.ovs}).stdout


def port_name(end: str) -> str:
    """The OVS port of an end."""
    return f"bench-{end}"


def virtio_user(number: int, socket: str, *, mac: str) -> str:
    """DPDK's virtio-user device for a guest's end of a vhost-user port, as server (OVS is the client)."""
    queues = f"queues=1,queue_size={VIRTQUEUE_SIZE},packed_vq=1"
    return f"net_virtio_user{number},path={socket},server=1,{queues},mac={mac}"


def parse_ports(text: str) -> dict[str, dict[str, int]]:
    """``ovs-ofctl dump-ports``: the counters of each port; those that OVS does not count are left out."""
    found: dict[str, dict[str, int]] = {}
    for match in re.finditer(r'port\s+"?([\w-]+)"?: (rx .*?)\n\s+(tx .*?)(?=\n|$)', text):
        name, *lines = match.groups()
        found[name] = {
            f"{line[:2]}_{key}": int(value) for line in lines for key, value in re.findall(r"(\w+)=([0-9]+)", line)
        }
    return found


def parse_addresses(text: str) -> set[tuple[str, int]]:
    """``fdb/show``: the ports (OpenFlow numbers) and VLANs on which an address was learnt."""
    return {(match[1], int(match[2])) for match in re.finditer(r"^ *(\d+) +(\d+) +[0-9a-f:]{17} ", text, re.MULTILINE)}


def parse_flows(text: str) -> set[tuple[str, str]]:
    """``dpctl/dump-flows --names``: source and target port of each datapath flow with a single action."""
    return set(re.findall(r"in_port\(([\w-]+)\).*actions:([\w-]+)$", text, re.MULTILINE))


def parse_pmd(text: str) -> dict[str, dict[str, int]]:
    """``pmd-stats-show``: the counters of each PMD thread by its CPU (``pmd_0``)."""
    return {
        f"pmd_{cpu}": {re.sub(r"[ /]+", "_", name): count for name, count in counts.items()}
        for (_, cpu), counts in ovs.pmd_counts(text).items()
    }


def _load(spent: Mapping[str, int]) -> dict[str, float]:
    busy = spent.get("processing_cycles", 0)
    cycles = spent.get("idle_cycles", 0) + busy
    packets = max(1, spent.get("packets_received", 0))
    return {"busy": round(busy / cycles, 4) if cycles else 0.0, "cycles_per_packet": round(busy / packets)}
