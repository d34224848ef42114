"""Network interfaces: their hardware, what they carry, and which of them must not be touched."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ouchi.facts.pci import PciBus, PcieLink, PciFunction, pci_address
from ouchi.facts.rdma import rdma_users
from ouchi.facts.reading import names_in, pairs, probe_of, text_of, whole
from ouchi.machine import Reader
from ouchi.machine.routes import interface_addresses

__all__ = ["Nic", "PcieLink", "default_interfaces", "read_nics"]

CLASS = "/sys/class/net"
BEFORE_BINDING = "/var/lib/ouchi-host/cards.json"
"""The members :data:`KEPT` of the NICs that ``apply`` bound to VFIO, by PCI address."""

KEPT: Mapping[str, type] = {"name": str, "mac": str, "firmware": str, "rx_queues": int, "tx_queues": int}
"""The members that only the kernel's driver reports, with their types."""

_UP = 0x1  # IFF_UP in <linux/if.h>
_ROUTE_UP = 0x1  # RTF_UP in <linux/route.h>
_ROUTE_REJECT = 0x200  # RTF_REJECT: the kernel's own "no route" entries


@dataclass(frozen=True, slots=True)
class Nic:
    """One network interface, or a PCI network function that has none: bound to VFIO or driverless.

    ``name``: the kernel's; of a function without interface the one that it had when ouchi took it, or empty.

    ``address`` is its PCI address, empty for what is not on a PCI bus. ``node`` is its NUMA node, 0 when
    ``node_known`` is false (the firmware says -1, or there is no bus to say it). ``up``: it can carry packets
    now. ``default_route`` and ``session`` are also true for the interfaces underneath the one that has the
    route or the address: the ports of a bridge, the links of a bond, the parent of a VLAN. ``addresses`` are
    written ``192.0.2.2/24``; IPv6 link-local ones, which every link that is up has, are left out. ``master`` is
    the bridge or bond above it, ``above`` what else is made of it (VLANs, macvlans), by name. ``physical``: a device stands behind it, be it a virtual machine's.

    ``vendor``, ``device`` and ``subsystem`` are PCI ids (``8086``, ``1572``, ``8086:0001``). ``speed_mbps`` is the
    link's speed now, 0 unknown. ``vfs_total`` VFs can be made, ``vfs_now`` are; a VF
    names its physical one in ``pf``. ``group_with``, ``group_drivers``, ``direct`` and ``infiniband`` are as in
    :class:`~ouchi.facts.pci.PciFunction`. ``rdma``: who has RDMA connections on it.
    """

    name: str
    address: str
    driver: str
    node: int
    node_known: bool
    mac: str
    up: bool
    default_route: bool
    addresses: tuple[str, ...]
    master: str
    session: bool
    physical: bool
    vendor: str
    device: str
    subsystem: str
    firmware: str
    speed_mbps: int
    pcie: PcieLink | None
    vfs_total: int
    vfs_now: int
    pf: str
    iommu_group: int
    group_with: tuple[str, ...]
    rx_queues: int
    tx_queues: int
    above: tuple[str, ...] = ()
    group_drivers: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()
    infiniband: bool = False
    rdma: tuple[str, ...] = ()

    @property
    def uses(self) -> tuple[str, ...]:
        """What it carries that must not be taken from it, each as a verb and its object; none when it is free."""
        return (
            *(("carries your session",) if self.session else ()),
            *(("carries the default route",) if self.default_route else ()),
            *((f"has the address {', '.join(self.addresses)}",) if self.addresses else ()),
            *((f"is part of {self.master}",) if self.master else ()),
            *((f"carries {', '.join(self.above)}",) if self.above else ()),
            *((f"carries RDMA connections of {', '.join(self.rdma)}",) if self.rdma else ()),
        )

    @property
    def use(self) -> str:
        """The most important use, as a clause; empty when it is free."""
        return f"it {self.uses[0]}" if self.uses else ""


def read_nics(reader: Reader, session_address: str = "") -> tuple[Nic, ...]:
    """Every interface but the loopback, by name; then every PCI network function without one, by address.

    ``session_address`` is the local address that the user's session came in on (the third word of
    ``SSH_CONNECTION``), if any: interfaces that carry it are marked.
    """
    names = [name for name in names_in(reader, CLASS) if name != "lo" and reader.exists(f"{CLASS}/{name}/address")]
    route = text_of(reader, "/proc/net/route")
    addresses = interface_addresses(text_of(reader, "/proc/net/fib_trie"), route, text_of(reader, "/proc/net/if_inet6"))
    bus = PciBus(reader)
    nics = {name: _interface(reader, bus, name, addresses.get(name, ())) for name in names}
    below = _below(reader, nics)
    with_route = _with_all_below(default_interfaces(route, text_of(reader, "/proc/net/ipv6_route")), below)
    session = _bare(session_address)
    having_it = (name for name in names if session and session in map(_bare, addresses.get(name, ())))
    with_session = _with_all_below(having_it, below)
    seen = {nic.address for nic in nics.values()}
    before = read_before_binding(text_of(reader, BEFORE_BINDING))
    bare = [
        replace(_bare_nic(bus.function(address)), **before.get(address, {}))
        for address in bus.network_functions()
        if address not in seen
    ]
    above = {name: tuple(sorted(upper for upper, lower in below.items() if name in lower)) for name in names}
    users = rdma_users(reader)
    marked = (
        replace(
            nic,
            default_route=name in with_route,
            session=name in with_session,
            above=tuple(upper for upper in above[name] if upper != nic.master),
            rdma=tuple(sorted({*users.get(nic.address or name, ()), *users.get(name, ())})),
        )
        for name, nic in sorted(nics.items())
    )
    return (*marked, *bare)


def default_interfaces(route: str, ipv6_route: str) -> frozenset[str]:
    """The interfaces of the default routes in ``/proc/net/route`` and ``/proc/net/ipv6_route``."""
    found = set()
    for line in route.splitlines()[1:]:
        words = line.split()
        if len(words) >= 8 and words[1] == words[7] == "00000000" and _usable(words[3]):
            found.add(words[0])
    for line in ipv6_route.splitlines():
        words = line.split()
        if len(words) >= 10 and words[1] == "00" and set(words[0]) == {"0"} and _usable(words[8]):
            found.add(words[9])
    return frozenset(found - {"lo"})


def read_before_binding(text: str) -> dict[str, dict[str, Any]]:
    """The members :data:`KEPT` of each NIC, by PCI address; none for a damaged text."""
    try:
        parsed = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    nics = parsed.items() if isinstance(parsed, dict) else ()
    return {
        address: {key: nic[key] for key, kind in KEPT.items() if isinstance(nic.get(key), kind)}
        for address, nic in nics
        if isinstance(nic, dict)
    }


def _usable(flags: str) -> bool:
    try:
        number = int(flags, 16)
    except ValueError:
        return False
    return bool(number & _ROUTE_UP) and not number & _ROUTE_REJECT


def _interface(reader: Reader, bus: PciBus, name: str, addresses: tuple[str, ...]) -> Nic:
    folder = f"{CLASS}/{name}"
    device = f"{folder}/device"
    # A virtio interface hangs below its PCI function, one folder up; a plain PCI one is the function itself.
    folders = (device, f"{device}/..") if reader.exists(device) else ()
    events = [pairs(text_of(reader, f"{path}/uevent"), "=") for path in folders]
    nodes = [whole(text_of(reader, f"{path}/numa_node"), -1) for path in folders]
    slots = (pci_address(event.get("PCI_SLOT_NAME", "")) for event in events)
    address = next(filter(None, slots), "")
    # Not for bridges, taps and the like: a host with guests has many, and ethtool shows nothing of them.
    ethtool = pairs(probe_of(reader, f"ethtool/{name}"), ":") if folders else {}
    rx_queues, tx_queues = _queues(reader, folder, ethtool) if folders else (0, 0)
    function = replace(
        bus.function(address),
        address=address,
        driver=reader.link(f"{device}/driver") or (events[0].get("DRIVER", "") if events else ""),
        node=max(nodes, default=-1),
    )
    return replace(
        _bare_nic(function),
        name=name,
        mac=text_of(reader, f"{folder}/address"),
        up=_is_up(text_of(reader, f"{folder}/operstate"), text_of(reader, f"{folder}/flags")),
        addresses=tuple(address for address in addresses if not address.startswith("fe80:")),
        master=reader.link(f"{folder}/master"),
        physical=bool(folders),
        firmware=_firmware(ethtool),
        speed_mbps=max(0, whole(text_of(reader, f"{folder}/speed"), 0)) if folders else 0,
        rx_queues=rx_queues,
        tx_queues=tx_queues,
    )


def _bare_nic(function: PciFunction) -> Nic:
    """A PCI function without an interface."""
    return Nic(
        name="",
        address=function.address,
        driver=function.driver,
        node=max(0, function.node),
        node_known=function.node >= 0,
        mac="",
        up=False,
        default_route=False,
        addresses=(),
        master="",
        session=False,
        physical=True,
        vendor=function.vendor,
        device=function.device,
        subsystem=function.subsystem,
        firmware="",
        speed_mbps=0,
        pcie=function.pcie,
        vfs_total=function.vfs_total,
        vfs_now=function.vfs_now,
        pf=function.pf,
        iommu_group=function.iommu_group,
        group_with=function.group_with,
        group_drivers=function.group_drivers,
        direct=function.direct,
        infiniband=function.infiniband,
        rx_queues=0,
        tx_queues=0,
    )


def _queues(reader: Reader, folder: str, ethtool: Mapping[str, str]) -> tuple[int, int]:
    """The Rx and Tx queues in use, as the driver counts them, or as their folders do."""
    counted = [whole(ethtool.get(key, ""), -1) for key in ("rx queues", "tx queues")]
    if min(counted) < 0:
        names = names_in(reader, f"{folder}/queues")
        counted = [sum(name.startswith(kind) for name in names) for kind in ("rx-", "tx-")]
    return counted[0], counted[1]


def _firmware(ethtool: Mapping[str, str]) -> str:
    version = ethtool.get("firmware", "")
    return "" if version == "N/A" else version  # what the kernel says for a driver that does not


def _is_up(operstate: str, flags: str) -> bool:
    if operstate != "unknown":
        return operstate == "up"
    try:  # drivers that do not report a link (tun, loopback) are judged by the administrator's switch
        return bool(int(flags, 16) & _UP)
    except ValueError:
        return False


def _below(reader: Reader, nics: dict[str, Nic]) -> dict[str, set[str]]:
    """The interfaces directly underneath each: sysfs links them as ``lower_<name>``; ports name their master."""
    found: dict[str, set[str]] = {name: set() for name in nics}
    for name, nic in nics.items():
        if not nic.physical:  # only software interfaces are made of others
            entries = names_in(reader, f"{CLASS}/{name}")
            found[name] |= {entry[6:] for entry in entries if entry.startswith("lower_") and entry[6:] in nics}
    for name, nic in nics.items():
        if nic.master in found:
            found[nic.master].add(name)
    return found


def _with_all_below(names: Iterable[str], below: Mapping[str, set[str]]) -> set[str]:
    """These interfaces and everything underneath them."""
    found: set[str] = set()
    pending = [name for name in names if name in below]
    while pending:
        if (name := pending.pop()) not in found:
            found.add(name)
            pending += below[name]
    return found


def _bare(address: str) -> str:
    """An address in its one canonical form, without prefix, zone, or IPv4-in-IPv6 wrapping; empty if it is none."""
    try:
        parsed = ipaddress.ip_address(address.partition("/")[0].partition("%")[0].strip())
    except ValueError:
        return ""
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
