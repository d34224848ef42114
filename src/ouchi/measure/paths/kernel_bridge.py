"""The path ``kernel``: two veth pairs joined by a Linux bridge, the kernel's counterpart of ``v2v``.

The bridge and the inner ends are in a network namespace of their own, so no firewall of the host sees the frames. The
outer ends are in the host's namespace, where the generator opens them (:class:`KernelBridge`), or each in a namespace
with an address, for iperf3 (:meth:`KernelBridge.create_hosts`): never both, since a bridge floods frames for unknown addresses. IPv6
and multicast snooping are off, so that the kernel sends nothing of its own.

A send into a veth pair runs the bridge code on the sender's CPU, up to the receiver's ring or socket: this path uses
the generator's CPUs only, while OVS-DPDK has more of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ouchi.clients.iperf import Host
from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.measure.paths.datapath import Datapath
from ouchi.measure.paths.path import LEFT, RIGHT, mac_of
from ouchi.parts import device
from ouchi.steps.journal import Journal

ENDS = (LEFT, RIGHT)
BRIDGE = "ouchi-bridge"
RING_SIZE = 256
"""Frames in each of a port's two rings: measured, longer rings are slower and shorter ones no faster."""

_ADDRESSES = {"left": "198.18.0.1", "right": "198.19.0.1"}  # RFC 2544's benchmark addresses
_SLOTS_PER_BLOCK = 32  # the kernel allocates by blocks; slots of whole _ALIGNMENTs then fill whole pages
_ALIGNMENT = 128  # bytes
_MIN_SLOT = 2048  # bytes
_SLOT_HEADER = 66  # bytes before the frame: struct tpacket2_hdr, an address, a gap
_FRAME_HEADER = 18  # bytes: Ethernet and a VLAN tag


@dataclass(frozen=True, slots=True)
class KernelBridge(Datapath):
    """The bridge, with the generator's raw sockets at the outer ends. ``mtu``: bytes, of every device."""

    name: ClassVar[str] = "kernel"
    ring_size: ClassVar[int] = RING_SIZE

    machine: Machine
    instance: Instance
    mtu: int = 1500

    def create(self) -> None:
        """Create the bridge and its veth pairs. Raises :class:`~ouchi.machine.CommandFailed`."""
        self._create_bridge(dict.fromkeys(ENDS, ""))
        for end in ENDS:
            self._create_pair(end)
            ipv6 = f"/proc/sys/net/ipv6/conf/{outer(end)}/disable_ipv6"
            if self.machine.exists(ipv6):
                self.machine.poke(ipv6, "1")
            self.machine.run(("ip", "link", "set", outer(end), "up"))

    def create_hosts(self) -> tuple[Host, Host]:
        """Create the bridge between two namespaces with an address each, left and right."""
        spaces = {end: namespace(self.instance, end) for end in ENDS}
        self._create_bridge(spaces)
        for end, space in spaces.items():
            _create_namespace(self.machine, space)
            self._create_pair(end, "netns", space)
            self.machine.run(("ip", "-n", space, "address", "add", f"{_ADDRESSES[end]}/15", "dev", outer(end)))
            self.machine.run(("ip", "-n", space, "link", "set", outer(end), "up"))
        left, right = (Host(space, _ADDRESSES[end]) for end, space in spaces.items())
        return left, right

    def dpdk_device(self, end: str) -> str:
        return af_packet(ENDS.index(end), outer(end), mtu=self.mtu)

    def not_learnt(self) -> list[str]:
        show = ("bridge", "-n", namespace(self.instance), "-json", "fdb", "show", "br", BRIDGE)
        entries = json.loads(self.machine.run(show).stdout)
        learnt = {(entry["ifname"], entry["mac"]) for entry in entries if entry.get("state") != "permanent"}
        return [
            f"no MAC address learnt on {end}"
            for number, end in enumerate(ENDS)
            if (inner(end), mac_of(number)) not in learnt
        ]

    def counters(self) -> dict[str, dict[str, int]]:
        """The kernel's counters of each device: packets, bytes (without FCS) and drops, received and sent.

        Drops at a receiver's ring or socket happen behind the last device and are not counted.
        """
        show = ("-json", "-statistics", "link", "show")
        found: dict[str, dict[str, int]] = {}
        for space in (namespace(self.instance, part) for part in ("bridge", *ENDS)):
            if self.machine.exists(f"{device.SPACES}/{space}"):
                found |= parse_links(self.machine.run(("ip", "-n", space, *show)).stdout)
        for end in ENDS:
            if self.machine.exists(f"/sys/class/net/{outer(end)}"):
                found |= parse_links(self.machine.run(("ip", *show, "dev", outer(end))).stdout)
        return found

    def remove(self) -> None:
        """Remove all devices and namespaces. A process in a namespace keeps it alive without a name."""
        for end in ENDS:
            # Before the namespaces: the kernel destroys their devices later, and the names are needed at once.
            if self.machine.exists(f"/sys/class/net/{outer(end)}"):
                self.machine.run(("ip", "link", "delete", outer(end)))
        for part in ("bridge", *ENDS):
            if self.machine.exists(f"{device.SPACES}/{namespace(self.instance, part)}"):
                self.machine.run(("ip", "netns", "delete", namespace(self.instance, part)))
        for name in (*map(outer, ENDS), BRIDGE):
            device.forget(self._journal, name)

    @property
    def _journal(self) -> Journal:
        return Journal(self.machine, self.instance.state)

    def _create_bridge(self, spaces: Mapping[str, str]) -> None:
        """The bridge without ports; ``spaces``: the namespace of each outer end, empty for the host's."""
        self.remove()
        journal, space = self._journal, namespace(self.instance)
        for end, outer_space in spaces.items():
            device.note(journal, outer(end), outer_space)
        device.note(journal, BRIDGE, space)
        _create_namespace(self.machine, space)
        bridge = ("type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.machine.run(("ip", "-n", space, "link", "add", BRIDGE, *bridge))
        self.machine.run(("ip", "-n", space, "link", "set", BRIDGE, "up"))

    def _create_pair(self, end: str, *outer_netns: str) -> None:
        """The veth pair of an end, its inner end up in the bridge; ``outer_netns``: arguments of ``ip`` for the outer one."""
        size, space = ("mtu", str(self.mtu)), namespace(self.instance)
        pair = ("link", "add", outer(end), *size, *outer_netns, "type", "veth", "peer", "name", inner(end), *size)
        self.machine.run(("ip", *pair, "netns", space))
        self.machine.run(("ip", "-n", space, "link", "set", inner(end), "master", BRIDGE, "up"))


def outer(end: str) -> str:
    """The device at an end of the path."""
    return f"ouchi-krn-{end}"


def inner(end: str) -> str:
    """The bridge's port for an end."""
    return f"ouchi-{end}"


def namespace(instance: Instance, part: str = "bridge") -> str:
    """The namespace of the bridge or of the host at an end; the dot keeps it apart from those of networks."""
    return f"{instance.name}.{part}"


def af_packet(number: int, name: str, *, mtu: int = 1500) -> str:
    """DPDK's af_packet device on an interface; open it with the same ``mtu`` (bytes).

    The slots of its rings hold the largest frame, and must not exceed the generator's mbufs: an MTU of up to 1964, or
    9000. DPDK 22.11 itself refuses to set more than 1500.
    """
    slot = max(_MIN_SLOT, -(-(_SLOT_HEADER + _FRAME_HEADER + mtu) // _ALIGNMENT) * _ALIGNMENT)
    ring = f"blocksz={_SLOTS_PER_BLOCK * slot},framesz={slot},framecnt={RING_SIZE}"
    return f"net_af_packet{number},iface={name},{ring},qdisc_bypass=1"


def parse_links(text: str) -> dict[str, dict[str, int]]:
    """``ip -json -statistics link show``: the counters of each of ouchi's devices."""
    return {
        link["ifname"]: {
            f"{way}_{name}": int(link["stats64"][way][key])
            for way in ("rx", "tx")
            for key, name in (("packets", "packets"), ("bytes", "bytes"), ("dropped", "drops"))
        }
        for link in json.loads(text)
        if link.get("ifname", "").startswith("ouchi-")
    }


def _create_namespace(machine: Machine, space: str) -> None:
    """A namespace without IPv6, whose bridges bypass the firewall."""
    machine.run(("ip", "netns", "add", space))
    settings = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
    settings |= {f"bridge/bridge-nf-call-{tables}": "0" for tables in ("iptables", "ip6tables", "arptables")}
    for name, value in settings.items():
        # The file does not exist without the module, or without IPv6.
        tee = ("ip", "netns", "exec", space, "tee", f"/proc/sys/net/{name}")
        machine.run(tee, input=value, check=False)
