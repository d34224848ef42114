"""The endpoints' wire: counters of both ends of each of its hops, and what was lost between two readings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

from ouchi.core.instance import Instance
from ouchi.machine import Machine

OURS = re.compile(r"ouchi-(?:end|near|far)[0-9]{1,4}")
"""The ports of the endpoints in Open vSwitch."""

STEADY_SECONDS = 3.0
"""How long to wait at most for frames under way: until two readings are equal."""

_SCRIPT = """
for space in "$@"; do
    echo "space $space" $(ip netns exec "$space" sh -c 'cd /sys/class/net/eth0/statistics && cat rx_packets tx_packets tx_dropped')
done
ss -0 -H -n -m
ovs-appctl --timeout=5 dpctl/show -s netdev@ovs-netdev
"""
_SPACE = re.compile(r"space (\S+) ([0-9]+) ([0-9]+) ([0-9]+)")
_SOCKET = re.compile(r"p_raw\s.*?\*:(\S+)\s.*,d([0-9]+)\)")
_PORT = re.compile(r"\s+port [0-9]+: (\S+)(?: \((\w+))?")
_RX, _TX = re.compile(r"\s+RX packets:([0-9]+) "), re.compile(r"\s+TX packets:([0-9]+) .*dropped:([0-9]+) ")


@dataclass(frozen=True, slots=True)
class Counters:
    """Frames that one side of a hop has received, sent, and failed to send."""

    received: int = 0
    sent: int = 0
    dropped: int = 0
    kind: str = ""
    """A port's type in the datapath."""

    def since(self, before: Counters) -> Counters:
        """The difference; counters that were reset meanwhile count from zero."""
        if self.received < before.received or self.sent < before.sent:
            return self
        dropped = max(0, self.dropped - before.dropped)
        return Counters(self.received - before.received, self.sent - before.sent, dropped, self.kind)


@dataclass(frozen=True, slots=True)
class Reading:
    """The endpoints' devices by namespace, Open vSwitch's ports by name, and what packet sockets dropped by device."""

    spaces: Mapping[str, Counters] = field(default_factory=dict)
    ports: Mapping[str, Counters] = field(default_factory=dict)
    sockets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hop:
    """Frames sent into a hop and arrived at its other end; ``own``: part of the endpoint's wire, not of the host."""

    name: str
    sent: int
    arrived: int
    own: bool

    @property
    def lost(self) -> int:
        """Frames that did not arrive."""
        return max(0, self.sent - self.arrived)


def read(machine: Machine, instance: Instance, spaces: Sequence[str]) -> Reading:
    """Read the counters of the endpoints in the namespaces ``spaces``."""
    result = machine.run(
        ("sh", "-c", _SCRIPT, "wire", *spaces), timeout=15, check=False, env={"OVS_RUNDIR": instance.ovs}
    )
    return parse(result.stdout)


def read_steady(machine: Machine, instance: Instance, spaces: Sequence[str]) -> Reading:
    """Read until nothing is under way any more: two equal readings 0.2 s apart, for 3 s at most."""
    end, last = monotonic() + STEADY_SECONDS, read(machine, instance, spaces)
    while True:
        sleep(0.2)
        now = read(machine, instance, spaces)
        if now == last or monotonic() > end:
            return now
        last = now


def parse(text: str) -> Reading:
    """Return the reading in the script's output. Any text is accepted."""
    spaces, ports, sockets = dict[str, Counters](), dict[str, Counters](), dict[str, int]()
    name = kind = received = ""
    for line in text.split("\n"):
        if match := _SPACE.match(line):
            spaces[match[1]] = Counters(int(match[2]), int(match[3]), int(match[4]))
        elif match := _SOCKET.match(line):
            sockets[match[1]] = sockets.get(match[1], 0) + int(match[2])
        elif match := _PORT.match(line):
            name, kind, received = match[1], match[2] or "", "0"
        elif match := _RX.match(line):
            received = match[1]
        elif name and (match := _TX.match(line)):
            ports[name] = Counters(int(received), int(match[1]), int(match[2]), kind)
    return Reading(spaces, ports, sockets)


def hops(before: Reading, after: Reading, spaces: Sequence[str]) -> tuple[Hop, ...]:
    """What each hop carried between two readings, the endpoints' wires first.

    Open vSwitch shows the kernel's counters of a port that is served by a packet socket, which include what the
    socket dropped; a port of DPDK's counts what was read.
    """
    none = Counters()
    space = {name: now.since(before.spaces.get(name, none)) for name, now in after.spaces.items()}
    port = {name: now.since(before.ports.get(name, none)) for name, now in after.ports.items()}

    def arrived(name: str) -> int:
        dropped = max(0, after.sockets.get(name, 0) - before.sockets.get(name, 0))
        return port.get(name, none).received - dropped

    found = []
    for number, name in enumerate(spaces):
        end, near, far = (f"ouchi-{side}{number}" for side in ("end", "near", "far"))
        inside = space.get(name, none)
        found += [
            _hop(f"{name} eth0 → {end}", inside, arrived(end)),
            _hop(f"{far} → {near}", port.get(far, none), arrived(near)),
            _hop(f"{near} → {far}", port.get(near, none), arrived(far)),
            _hop(f"{end} → {name} eth0", port.get(end, none), inside.received),
        ]
    guests = [(name, one) for name, one in port.items() if one.kind.startswith("dpdkvhostuser")]
    return (*found, *(Hop(f"{name} → guest", one.sent + one.dropped, one.sent, own=False) for name, one in guests))


def parse_hops(text: str) -> tuple[Hop, ...]:
    """Return the hops that were written as JSON; none in any other text."""
    try:
        return tuple(
            Hop(str(hop["name"]), int(hop["sent"]), int(hop["arrived"]), hop["own"] is True) for hop in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return ()


def _hop(name: str, side: Counters, arrived: int) -> Hop:
    return Hop(name, side.sent + side.dropped, arrived, own=True)
