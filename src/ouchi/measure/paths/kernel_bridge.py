"""The kernel's counterpart of the path ``v2v``: two veth pairs joined by a Linux bridge, counters read before and after.

The bridge and the inner ends lie in a network namespace of their own, where no firewall of the host meets a frame. The
outer ends lie in the caller's, where the generator opens them (:func:`build`), or in a namespace each, with an address,
for programs that speak TCP and UDP (:func:`build_hosts`): one or the other, since a bridge copies a frame for an
address that it does not know to every port. IPv6 and multicast snooping are off, so that nothing foreign is sent.

Whoever sends into a veth pair does the work of the bridge as well, up to the receiver's ring or socket: the generator's
own CPU is all that its path uses, where OVS-DPDK has one more for itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.parts import device
from ouchi.steps.journal import Journal

ENDS = ("left", "right")
BRIDGE = "ouchi-bridge"
RING = 256
"""Frames in each of a port's two rings: several bursts. Measured, longer rings are slower, shorter ones no faster."""

_ADDRESSES = {"left": "198.18.0.1", "right": "198.19.0.1"}  # RFC 2544's, for measurements only
_SLOTS = 32  # that the kernel allocates at once; with slots of whole _GRAINs these are whole pages
_GRAIN = 128  # bytes
_LEAST_SLOT = 2048  # bytes
_BEFORE = 66  # bytes in a slot before the frame: struct tpacket2_hdr, an address, a gap
_HEADERS = 18  # bytes: Ethernet and a VLAN tag


@dataclass(frozen=True, slots=True)
class Host:
    """An end with an address, in a namespace of its own."""

    namespace: str
    device: str
    address: str
    mtu: int

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that run a program there."""
        return ("ip", "netns", "exec", self.namespace)


def outer(end: str) -> str:
    """The device at an end of the path."""
    return f"ouchi-krn-{end}"


def inner(end: str) -> str:
    """The bridge's port for an end."""
    return f"ouchi-{end}"


def namespace(instance: Instance, part: str = "bridge") -> str:
    """Where the bridge lies, or the host at an end. No network's name has a dot, so it is never an endpoint's."""
    return f"{instance.name}.{part}"


def build(machine: Machine, journal: Journal, instance: Instance, *, mtu: int = 1500) -> tuple[str, str]:
    """Make the path for the generator, whatever a killed run left; the names of the two outer ends.

    ``mtu``: bytes, of every device; frames have 18 bytes more with FCS, and 4 with a VLAN tag.
    Raises :class:`~ouchi.machine.CommandFailed`.
    """
    remove(machine, journal, instance)
    for end in ENDS:
        device.note(machine, journal, outer(end))
    _make_bridge(machine, journal, instance)
    for end in ENDS:
        _make_pair(machine, instance, end, mtu, ())
        ipv6 = f"/proc/sys/net/ipv6/conf/{outer(end)}/disable_ipv6"
        if machine.exists(ipv6):
            machine.poke(ipv6, "1")
        machine.run(("ip", "link", "set", outer(end), "up"))
    return outer("left"), outer("right")


def build_hosts(machine: Machine, journal: Journal, instance: Instance, *, mtu: int = 1500) -> tuple[Host, Host]:
    """Make the path between two hosts instead; see :func:`build`."""
    remove(machine, journal, instance)
    for end in ENDS:
        device.note(machine, journal, outer(end), namespace(instance, end))
    _make_bridge(machine, journal, instance)
    for end in ENDS:
        place = namespace(instance, end)
        _make_namespace(machine, place)
        _make_pair(machine, instance, end, mtu, ("netns", place))
        machine.run(("ip", "-n", place, "address", "add", f"{_ADDRESSES[end]}/15", "dev", outer(end)))
        machine.run(("ip", "-n", place, "link", "set", outer(end), "up"))
    left, right = (Host(namespace(instance, end), outer(end), _ADDRESSES[end], mtu) for end in ENDS)
    return left, right


def remove(machine: Machine, journal: Journal, instance: Instance) -> None:
    """Take everything away; not there is fine. What still runs in a namespace keeps that alive, without its name."""
    for end in ENDS:
        # Before the namespaces: the kernel destroys what is in one later, and the names are wanted again at once.
        if machine.exists(f"/sys/class/net/{outer(end)}"):
            machine.run(("ip", "link", "delete", outer(end)))
    for part in ("bridge", *ENDS):
        if machine.exists(f"{device.SPACES}/{namespace(instance, part)}"):
            machine.run(("ip", "netns", "delete", namespace(instance, part)))
    for name in (*map(outer, ENDS), BRIDGE):
        device.forget(journal, name)


def af_packet(number: int, name: str, *, mtu: int = 1500) -> str:
    """DPDK's port on a device of the kernel; give the generator the same ``mtu`` (bytes).

    The slots of its rings hold the largest frame, and must be no larger than the generator's packet buffers: that goes
    with an MTU of up to 1964 and with 9000, not with every one. DPDK 22.11 refuses to set more than 1500.
    """
    slot = max(_LEAST_SLOT, -(-(_BEFORE + _HEADERS + mtu) // _GRAIN) * _GRAIN)
    ring = f"blocksz={_SLOTS * slot},framesz={slot},framecnt={RING}"
    return f"net_af_packet{number},iface={name},{ring},qdisc_bypass=1"


def counters(machine: Machine, instance: Instance) -> dict[str, dict[str, int]]:
    """What the kernel has counted for each device: packets, bytes (without FCS) and drops, received and sent.

    What does not fit into a receiver's ring or socket is dropped behind the last device, and counted by none.
    """
    found: dict[str, dict[str, int]] = {}
    for place in (namespace(instance, part) for part in ("bridge", *ENDS)):
        if machine.exists(f"{device.SPACES}/{place}"):
            found |= parse_links(machine.run(("ip", "-n", place, "-json", "-statistics", "link", "show")).stdout)
    for end in ENDS:
        if machine.exists(f"/sys/class/net/{outer(end)}"):
            show = ("ip", "-json", "-statistics", "link", "show", "dev", outer(end))
            found |= parse_links(machine.run(show).stdout)
    return found


def learnt(machine: Machine, instance: Instance) -> set[tuple[str, str]]:
    """The bridge's ports and the addresses that it has learnt behind them."""
    told = machine.run(("bridge", "-n", namespace(instance), "-json", "fdb", "show", "br", BRIDGE)).stdout
    return {(entry["ifname"], entry["mac"]) for entry in json.loads(told) if entry.get("state") != "permanent"}


def parse_links(text: str) -> dict[str, dict[str, int]]:
    """``ip -json -statistics link show``: the counters of each of our devices."""
    return {
        link["ifname"]: {
            f"{way}_{name}": int(link["stats64"][way][key])
            for way in ("rx", "tx")
            for key, name in (("packets", "packets"), ("bytes", "bytes"), ("dropped", "drops"))
        }
        for link in json.loads(text)
        if link.get("ifname", "").startswith("ouchi-")
    }


def difference(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """What was counted between two readings."""
    return {
        name: {key: value - before.get(name, {}).get(key, 0) for key, value in counted.items()}
        for name, counted in after.items()
    }


def _make_bridge(machine: Machine, journal: Journal, instance: Instance) -> None:
    place = namespace(instance)
    device.note(machine, journal, BRIDGE, place)
    _make_namespace(machine, place)
    bridge = ("type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
    machine.run(("ip", "-n", place, "link", "add", BRIDGE, *bridge))
    machine.run(("ip", "-n", place, "link", "set", BRIDGE, "up"))


def _make_namespace(machine: Machine, place: str) -> None:
    """A namespace without IPv6, whose bridges know no firewall."""
    machine.run(("ip", "netns", "add", place))
    switches = {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"}
    switches |= {f"bridge/bridge-nf-call-{tables}": "0" for tables in ("iptables", "ip6tables", "arptables")}
    for name, value in switches.items():
        # Without the module, or without IPv6, there is no switch and nothing to switch off.
        tee = ("ip", "netns", "exec", place, "tee", f"/proc/sys/net/{name}")
        machine.run(tee, input=value, check=False)


def _make_pair(machine: Machine, instance: Instance, end: str, mtu: int, there: tuple[str, ...]) -> None:
    """The cable of an end, its inner end up in the bridge; ``there``: where ``ip`` makes the outer one."""
    size = ("mtu", str(mtu))
    place = namespace(instance)
    cable = ("link", "add", outer(end), *size, *there, "type", "veth", "peer", "name", inner(end), *size)
    machine.run(("ip", *cable, "netns", place))
    machine.run(("ip", "-n", place, "link", "set", inner(end), "master", BRIDGE, "up"))
