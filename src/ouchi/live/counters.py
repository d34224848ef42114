"""Counters of Open vSwitch: its datapath's ports, twice within the sample, its drops, connections and packet sockets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ouchi.clients.ovs import pmd_counts
from ouchi.facts.reading import whole
from ouchi.live.ovs import error_of

_DATAPATH = re.compile(r"([a-z]+)@(\S+):")
_PORT = re.compile(r"  port [0-9]{1,10}: (\S+)(?: \(([^):,]*)(?:: ([^)]*))?.*)?")
_DIRECTION = re.compile(r"\s+(RX|TX) packets:([0-9]{1,19}|\?) errors:\S+ dropped:([0-9]{1,19}|\?)")
_BYTES = re.compile(r"\s+RX bytes:([0-9]{1,19}|\?)(?: \([^)]*\))?  TX bytes:([0-9]{1,19}|\?)")
_NO_STATISTICS = ", could not retrieve stats ("
_EVENT = re.compile(r"(\w+) +([0-9]{1,12}\.[0-9])/sec +([0-9]{1,12}\.[0-9]{3})/sec +\S+/sec +total: ([0-9]{1,19})")
_SOCKET = re.compile(r"^p_(?:raw|dgr)\s+[0-9]+\s+[0-9]+\s+\S+:(\S+)\s.*\bino:([0-9]{1,19})\b.*$")
_DROPPED = re.compile(r"\bskmem:\([^)]*\bd([0-9]{1,10})\)")


@dataclass(frozen=True, slots=True)
class PortCounters:
    """A port of a datapath, as ``dpctl/show -s`` prints it; ``kind`` is empty for a kernel's interface.

    ``configuration``: its queues and descriptors, whose names depend on the version. Counts are None where the port
    has no statistics at that moment: a vhost-user port whose guest has no driver, or no guest.
    """

    name: str
    kind: str
    configuration: Mapping[str, str]
    rx_packets: int | None = None
    tx_packets: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    rx_dropped: int | None = None
    tx_dropped: int | None = None
    statistics: bool = True


@dataclass(frozen=True, slots=True)
class PmdCounters:
    """A PMD thread since it started, or since its statistics were cleared: TSC cycles, and packets that it received."""

    node: int
    busy: int
    idle: int
    packets: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Two readings of Open vSwitch's counters, about half a second apart.

    ``before``, ``after``: the ports of the userspace datapath by name. ``pmds_before``,
    ``pmds_after``: the PMD threads by their CPU. ``events``: coverage counters per second over the
    last minute; those that never counted are missing. ``connections``: of the connection tracker, and how many it may
    have; None where it was not read. ``sockets_before``, ``sockets_after``: frames that the packet sockets of
    ovs-vswitchd have dropped, by interface. ``failed``: queries without an answer, and their error.
    """

    before: Mapping[str, PortCounters] = field(default_factory=dict)
    after: Mapping[str, PortCounters] = field(default_factory=dict)
    pmds_before: Mapping[int, PmdCounters] = field(default_factory=dict)
    pmds_after: Mapping[int, PmdCounters] = field(default_factory=dict)
    events: Mapping[str, float] = field(default_factory=dict)
    connections: tuple[int, int] | None = None
    sockets_before: Mapping[str, int] = field(default_factory=dict)
    sockets_after: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def parse_counters(samples: Mapping[str, str]) -> Counters:
    """Return the counters in the sections of the script."""
    inodes = frozenset(re.findall(r"socket:\[([0-9]{1,19})\]", samples.get("socket files", "")))
    now, most = (samples.get(name, "").strip() for name in ("connections", "most connections"))
    names = ("datapath before", "datapath after", "coverage", "connections", "most connections")
    return Counters(
        before=parse_ports(samples.get("datapath before", "")),
        after=parse_ports(samples.get("datapath after", "")),
        pmds_before=parse_pmd_counters(samples.get("pmd cycles before", "")),
        pmds_after=parse_pmd_counters(samples.get("pmd cycles after", "")),
        events=parse_events(samples.get("coverage", "")),
        connections=(whole(now, 0), whole(most, 0)) if now.isdecimal() and most.isdecimal() else None,
        sockets_before=parse_sockets(samples.get("sockets before", ""), inodes),
        sockets_after=parse_sockets(samples.get("sockets after", ""), inodes),
        failed={name.split()[0]: error_of(samples, name) for name in names if f"{name} failed" in samples},
    )


def parse_ports(text: str) -> dict[str, PortCounters]:
    """Return the ports of the userspace datapath in the output of ``dpctl/show -s`` (lib/dpctl.c).

    A port without statistics has its error in front of the next port, on one line with it.
    """
    found: dict[str, PortCounters] = {}
    userspace, port = False, ""
    for line in text.split("\n"):
        if match := _DATAPATH.fullmatch(line):
            userspace, port = match[1] == "netdev", ""
        if port and line.startswith(_NO_STATISTICS):
            found[port] = replace(found[port], statistics=False)
            line = line[line.find(")") + 1 :]
        if userspace and (match := _PORT.fullmatch(line)):
            port = match[1]
            settings = (item.partition("=") for item in (match[3] or "").split(", "))
            found[port] = PortCounters(port, match[2] or "", {key: value for key, equals, value in settings if equals})
        elif port and (match := _DIRECTION.match(line)):
            packets, dropped = (None if text == "?" else int(text) for text in match.groups()[1:])
            found[port] = (
                replace(found[port], rx_packets=packets, rx_dropped=dropped)
                if match[1] == "RX"
                else replace(found[port], tx_packets=packets, tx_dropped=dropped)
            )
        elif port and (match := _BYTES.match(line)):
            received, sent = (None if text == "?" else int(text) for text in match.groups())
            found[port] = replace(found[port], rx_bytes=received, tx_bytes=sent)
    return found


def parse_pmd_counters(text: str) -> dict[int, PmdCounters]:
    """Return the PMD threads by their CPU in the output of ``dpif-netdev/pmd-stats-show`` (lib/dpif-netdev.c)."""
    return {
        cpu: PmdCounters(
            node, counts.get("processing cycles", 0), counts.get("idle cycles", 0), counts.get("packets received", 0)
        )
        for (node, cpu), counts in pmd_counts(text).items()
    }


def parse_events(text: str) -> dict[str, float]:
    """Return the events in the output of ``coverage/show``: how often each happened, per second over the last minute."""
    return {match[1]: float(match[3]) for line in text.split("\n") if (match := _EVENT.match(line))}


def parse_sockets(text: str, inodes: frozenset[str]) -> dict[str, int]:
    """Return the frames that packet sockets with these inodes have dropped, by interface, in the output of ``ss -0me``."""
    found: dict[str, int] = {}
    interface = ""
    for line in text.split("\n"):
        if match := _SOCKET.match(line):
            interface = match[1] if match[2] in inodes else ""
        if interface and (match := _DROPPED.search(line)):
            found[interface] = found.get(interface, 0) + int(match[1])
            interface = ""
    return found
