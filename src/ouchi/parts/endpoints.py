"""An address of this host on a VLAN, in a network namespace of its own: something to measure against.

It stands outside the host as another machine would: behind a bridge of its own (the switch at the other end), which
a veth pair (the cable) joins to the physnet's bridge. So frames between the endpoint and a guest carry the VLAN's
tag on the cable. The tagging is OVS's, because not every kernel has VLAN devices; and the ends are veth devices,
because an internal port of OVS vanishes when ovs-vswitchd restarts.

PMD threads poll the three veth ends in Open vSwitch, by DPDK's net_af_packet. A system port is served by ovs-vswitchd's
main thread, whose packet socket has room for some hundred frames: where that thread has to wait, frames are lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ouchi.clients.ovs import quote, tables, vsctl
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts import device
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present
from ouchi.plan.memory import is_polled
from ouchi.site import Site
from ouchi.steps.journal import Journal

FRAMES = 8192
"""Frames in each of a polled port's two rings, 2 KiB each: 80 ms at 100,000 frames per second."""


class Endpoints(Part):
    name = "endpoints"
    stage = "dataplane"
    needs = ("bridges",)

    def look(self, at: Context) -> PartState:
        points = _of(at)
        if not points:
            return present("the site asks for none", "none planned")
        lost = [
            f"{point.address} on VLAN {point.vlan}"
            for number, point in enumerate(points)
            if not all(at.machine.exists(path) for path in _paths(at.instance, point, number))
        ]
        if lost:
            return missing(f"attach {', '.join(lost)}", f"missing: {', '.join(lost)}")
        if "ovsdb" in at.running and (others := _of_another_kind(at.machine, at.instance, dict(enumerate(points)))):
            return missing(f"replace {', '.join(others)}", f"served by the main thread: {', '.join(others)}")
        return present(", ".join(f"{p.address} on VLAN {p.vlan} in {p.namespace(at.instance)}" for p in points))

    def make(self, at: Context, notify: Notify) -> Outcome:
        done = [attach(at.machine, at.journal, at.instance, point, number) for number, point in enumerate(_of(at))]
        if not done:
            return nothing("the site asks for none")
        return Outcome("; ".join(outcome.text for outcome in done), any(outcome.changed for outcome in done))


def _of(at: Context) -> list[Endpoint]:
    return endpoints(at.target.site, at.target.bridges)


def _paths(instance: Instance, endpoint: Endpoint, number: int) -> tuple[str, ...]:
    """What is there when an endpoint is whole."""
    devices = (f"/sys/class/net/ouchi-near{number}", f"/sys/class/net/ouchi-end{number}")
    return (f"/run/netns/{endpoint.namespace(instance)}", *devices)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host address on a VLAN: ``address`` with prefix length, ``gateway`` may be empty, ``mtu`` in bytes."""

    network: str
    vlan: int
    physnet: str
    bridge: str
    address: str
    gateway: str
    mtu: int

    def namespace(self, instance: Instance) -> str:
        return f"{instance.name}-{self.network}"


def ports(number: int) -> tuple[str, str, str]:
    """The ports of an endpoint in Open vSwitch: its own, and both ends of the cable (near the host, far from it)."""
    return f"ouchi-end{number}", f"ouchi-near{number}", f"ouchi-far{number}"


def interface(port: str, mtu: int) -> dict[str, str]:
    """The columns of a port's interface. DPDK's net_af_packet takes frames of up to 1500 bytes before release 26.07;
    others remain system ports."""
    if not is_polled(mtu):
        return {"type": '""'}
    devargs = f"net_af_packet_{port},iface={port},framecnt={FRAMES}"
    return {"type": "dpdk", "options:dpdk-devargs": quote(devargs), "mtu_request": str(mtu)}


def outside(physnet: str) -> str:
    """The bridge at the other end of a physnet's cable; a device name has at most 15 characters."""
    return f"out-{physnet}"[:15]


def endpoints(site: Site, bridges: Mapping[str, str]) -> list[Endpoint]:
    """The endpoints that a site asks for."""
    return [
        Endpoint(
            network.name,
            network.vlan,
            network.physnet,
            bridges[network.physnet],
            f"{network.endpoint}/{network.subnet.prefixlen}",
            str(network.gateway or ""),
            network.mtu,
        )
        for network in site.networks
        if network.endpoint
    ]


def attach(machine: Machine, journal: Journal, instance: Instance, endpoint: Endpoint, number: int) -> Outcome:
    """Make the cable, the bridge behind it, the namespace and its port, as far as they are missing.

    ``number`` tells the devices of one endpoint from another's.
    """
    space, new = endpoint.namespace(instance), f"ouchi-new{number}"
    port, near, far = names = ports(number)
    made = False
    if not machine.exists(f"/sys/class/net/{near}"):
        device.note(journal, near)
        machine.run(("ip", "link", "add", near, "type", "veth", "peer", "name", far))
        made = True
    if not machine.exists(f"/sys/class/net/{port}"):
        device.note(journal, port, space)
        machine.run(("ip", "link", "delete", new), check=False)
        machine.run(("ip", "netns", "delete", space), check=False)
        machine.run(("ip", "netns", "add", space))
        machine.run(("ip", "link", "add", new, "type", "veth", "peer", "name", "eth0", "netns", space))
        inside = ("ip", "-n", space)
        # The userspace datapath reads raw frames: a checksum left to hardware would reach the guest unfinished.
        machine.run(("ip", "netns", "exec", space, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off"))
        machine.run((*inside, "address", "add", endpoint.address, "dev", "eth0"))
        machine.run((*inside, "link", "set", "lo", "up"))
        machine.run((*inside, "link", "set", "eth0", "mtu", str(endpoint.mtu), "up"))
        if endpoint.gateway:
            machine.run((*inside, "route", "add", "default", "via", endpoint.gateway))
        # It has its name only when all is done: a run that was killed before that is begun afresh.
        machine.run(("ip", "link", "set", new, "name", port))
        made = True
    for name in names:
        machine.poke(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1")
        machine.run(("ip", "link", "set", name, "mtu", str(endpoint.mtu), "up"))
    other = outside(endpoint.physnet)
    device.note(journal, other)
    bridge = ("--may-exist", "add-br", other, "--", "set", "Bridge", other, "datapath_type=netdev")
    attached = [(endpoint.bridge, near, f"trunks={endpoint.vlan}"), (other, far, f"trunks={endpoint.vlan}")]
    attached.append((other, port, f"tag={endpoint.vlan}"))
    if made or _of_another_kind(machine, instance, {number: endpoint}):
        # A port of DPDK's holds the device that it was made with, not its name.
        vsctl(machine, instance, *(word for name in names for word in ("--", "--if-exists", "del-port", name)), wait=15)
        made = True
    words = [word for on, end, vlan in attached for word in ("--", "--may-exist", "add-port", on, end, vlan)]
    for name in names:
        columns = (f"{column}={value}" for column, value in interface(name, endpoint.mtu).items())
        words += ["--", "set", "Interface", name, *columns]
    vsctl(machine, instance, *bridge, *words, wait=15)
    text = f"{endpoint.address} on VLAN {endpoint.vlan} in namespace {space}"
    return changed(text) if made else nothing(text)


def _of_another_kind(machine: Machine, instance: Instance, points: Mapping[int, Endpoint]) -> list[str]:
    """The endpoints' ports in the database whose type is not the one they should have: of a former version."""
    found = {str(row["name"]): str(row["type"]) for row in tables(machine, instance, "Interface", ("name", "type"))}
    expected = {
        name: interface(name, point.mtu)["type"].strip('"')
        for number, point in points.items()
        for name in ports(number)
    }
    return [name for name, kind in expected.items() if found.get(name, kind) != kind]


PARTS = (Endpoints(),)
