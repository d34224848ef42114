"""The networks of a plan: NICs and bridges above, each network as a bar, servers and endpoints below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ouchi.core.cpulist import format_cpus
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.report.picture.cpus import pinned_guests
from ouchi.report.picture.font_metrics import width_at_most
from ouchi.report.picture.shapes import Box, Line, Picture
from ouchi.report.text import clean, size, speed

SIZES = {"title": 24, "subtitle": 13, "label": 12, "name": 13, "small": 11, "chip": 10, "note": 11}
BOLD = frozenset({"title", "label", "name", "note", "chip"})

PAGE, PAD, GAP, TEXT = 24, 12, 20, 17
BAR, BETWEEN, CHIP, STRIP, DOT = 30, 16, 16, 20, 8
"""Heights: of a network's bar, between two, of a port's chip, of a server's name; the diameter of a connection's dot."""

ROW = 2 * TEXT + PAD
NICS_TOP = PAGE + 32 + GAP
BRIDGES_TOP = NICS_TOP + ROW + GAP
BRIDGES_BOTTOM = BRIDGES_TOP + ROW
APART = 10
"""Between the lines of a network and of a port."""


@dataclass(frozen=True, slots=True)
class _End:
    """A server or an endpoint: its name, colour, lines of text, and its ports as (network, address)."""

    name: str
    look: str
    lines: tuple[str, ...]
    ports: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Drawing:
    """Boxes and lines as they are added; ``right`` is the first unit to the right of them."""

    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    right: int = 0

    def add(self, box: Box) -> Box:
        self.boxes.append(box)
        self.right = max(self.right, box.right)
        return box

    def text(self, text: str, style: str, x: int, y: int, height: int = TEXT) -> None:
        self.add(Box("text", x, y, _width(text, style), height, text, style, "start"))


def topology(target: Target) -> Picture:
    """The picture, in px."""
    site = target.site
    title = f"{clean(target.facts.system.hostname)}: networks"
    physnets = dict.fromkeys([*target.bridges, *(network.physnet for network in site.networks)])
    networks = [network for physnet in physnets for network in site.networks if network.physnet == physnet]
    labels = [_network_text(network.name, network.vlan, str(network.subnet), network.mtu) for network in networks]
    drawing = _Drawing()
    drawing.text(title, "title", PAGE, PAGE, 32)
    left = PAGE + 2 * PAD + max((_width(label, "label") for label in labels), default=0) + GAP
    tops = [BRIDGES_BOTTOM + GAP + number * (BAR + BETWEEN) for number in range(len(networks))]
    ends_top = (tops[-1] if tops else BRIDGES_BOTTOM) + BAR + 2 * GAP
    bottom, ports = _ends(drawing, list(_end_values(target)), left, ends_top)
    taken = [port[0] for port in ports]
    trunks = _bridges(drawing, target, list(physnets), [network.physnet for network in networks], left, taken)
    rows = {network.name: top for network, top in zip(networks, tops, strict=True)}
    width = max(drawing.right, left + 200) - PAGE
    for number, (label, top) in enumerate(zip(labels, tops, strict=True)):
        drawing.add(Box("group", PAGE, top, width, BAR))
        drawing.text(label, "label", PAGE + PAD, top, BAR)
        _connect(drawing, trunks[number], BRIDGES_BOTTOM, top, "bus")
    for x, y, name in ports:
        if name in rows:
            _connect(drawing, x, y, rows[name] + BAR, "queue")
    return Picture(
        width=drawing.right + PAGE,
        height=bottom + PAGE,
        boxes=tuple(drawing.boxes),
        lines=tuple(drawing.lines),
        title=title,
        description=_description(target, labels),
    )


def _connect(drawing: _Drawing, x: int, y: int, edge: int, look: str) -> None:
    """A line from (x, y) to the edge of a network's bar, with a dot there."""
    inside = edge + BAR // 2 if edge > y else edge - BAR // 2
    drawing.lines.append(Line(((x, y), (x, inside)), look))
    drawing.add(Box("chip", x - DOT // 2, inside - DOT // 2, DOT, DOT))


def _bridges(
    drawing: _Drawing,
    target: Target,
    physnets: Sequence[str],
    networks: Sequence[str],
    left: int,
    taken: Sequence[int],
) -> list[int]:
    """NICs, and the bridges below them; return for each network where its line leaves its bridge."""
    x = left
    trunks: list[int] = []
    speeds = {nic.address: nic.speed_mbps for nic in target.facts.nics}
    for physnet in physnets:
        begin, driven = x, False
        for nic in target.plan.nics:
            if nic.physnet != physnet or nic.role == "left alone":
                continue
            heading = " ".join(filter(None, (clean(nic.name) or nic.address, speed(speeds.get(nic.address, 0)))))
            vfs = f"SR-IOV, {counted(len(nic.vfs), 'VF')}, {clean(physnet)}"
            box = _labelled(drawing, nic.role, x, heading, "OVS-DPDK" if nic.role == "ovs-dpdk" else vfs)
            if nic.role == "ovs-dpdk":
                middle, driven = box.x + box.width // 2, True
                drawing.lines.append(Line(((middle, box.bottom), (middle, BRIDGES_TOP)), "bus"))
            x = box.right + GAP
        count = networks.count(physnet)
        if not count and not driven:
            continue
        bridge, about = clean(target.bridges.get(physnet, physnet)), physnet if driven else "no NIC: within this host"
        texts = max(_width(bridge, "label"), _width(about, "small"))
        wide = max(2 * PAD + texts, 2 * APART * (count + 1), x - GAP - begin)
        drawing.add(Box("frame", begin, BRIDGES_TOP, wide, ROW))
        drawing.text(bridge, "label", begin + PAD, BRIDGES_TOP + PAD // 2)
        drawing.text(about, "small", begin + PAD, BRIDGES_TOP + PAD // 2 + TEXT)
        for number in range(count):
            middle = begin + wide * (number + 1) // (count + 1)
            ways = sorted(range(begin + PAD, begin + wide - PAD + 1), key=lambda way, middle=middle: abs(way - middle))  # type: ignore[misc]
            free = (way for way in ways if all(abs(way - other) >= APART for other in (*taken, *trunks)))
            trunks.append(next(free, middle))
        x = max(x, begin + wide + GAP)
    return trunks


def _labelled(drawing: _Drawing, look: str, x: int, name: str, text: str) -> Box:
    """A NIC with its name and a line of text below it."""
    width = 2 * PAD + max(_width(name, "name"), _width(text, "small"))
    box = drawing.add(Box("nic", x, NICS_TOP, width, ROW, look=look))
    drawing.text(name, "name", x + PAD, NICS_TOP + PAD // 2)
    drawing.text(text, "small", x + PAD, NICS_TOP + PAD // 2 + TEXT)
    return box


def _ends(drawing: _Drawing, ends: Sequence[_End], x: int, y: int) -> tuple[int, list[tuple[int, int, str]]]:
    """The servers and endpoints in a row: where they end, and where the line of each port begins, with its network."""
    ports: list[tuple[int, int, str]] = []
    bottom = y
    for end in ends:
        chips = [_width(address, "chip") + 10 for _, address in end.ports]
        texts = [_width(end.name, "note"), *(_width(line, "small") for line in end.lines)]
        width = 2 * PAD + max(*texts, sum(chips) + 6 * (len(chips) - 1))
        height = CHIP + STRIP + len(end.lines) * TEXT + PAD
        drawing.add(Box("nic", x, y, width, height))
        at = x + PAD
        for (network, address), wide in zip(end.ports, chips, strict=True):
            drawing.add(Box("chip", at, y, wide, CHIP, address))
            ports.append((at + wide // 2, y, network))
            at += wide + 6
        drawing.add(Box("note", x + 4, y + CHIP + 4, width - 8, STRIP - 2, end.name, end.look))
        for number, line in enumerate(end.lines):
            drawing.text(line, "small", x + PAD, y + CHIP + STRIP + 6 + number * TEXT)
        bottom = max(bottom, y + height)
        x += width + GAP
    return bottom, ports


def _end_values(target: Target) -> Iterator[_End]:
    plan = target.plan
    shades = {guest.name: note.look for note, guest in pinned_guests(plan)}
    guests = {guest.name: guest for guest in plan.guests}
    for network in target.site.networks:
        if network.endpoint:
            address = str(network.endpoint)
            yield _End(clean(network.name), "host", ("endpoint on this host",), ((network.name, address),))
    for server in target.site.servers:
        guest = guests.get(server.name)
        kind = "pinned to" if guest and guest.pinned else "on shared"
        lines = [f"{counted(server.vcpus, 'vCPU')}, {size(server.memory_mib * 1024)}"]
        lines += [f"{kind} CPUs {format_cpus(guest.cpus)}"] if guest else []
        lines += ["forwards"] if server.forwards else []
        ports = tuple((port.network, str(port.address or "any address")) for port in server.ports)
        yield _End(clean(server.name), shades.get(server.name, "shared"), tuple(lines), ports)


def _network_text(name: str, vlan: int, subnet: str, mtu: int) -> str:
    return f"{clean(name)} · VLAN {vlan} · {subnet}" + (f" · MTU {mtu}" if mtu != 1500 else "")


def _description(target: Target, labels: Sequence[str]) -> str:
    """The picture as text, for screen readers."""
    ends = [
        f"{end.name} ({', '.join(end.lines)}) on {', '.join(f'{clean(network)} as {address}' for network, address in end.ports)}."
        for end in _end_values(target)
    ]
    nics = [
        f"NIC {clean(nic.name) or nic.address}: {nic.role}, {clean(nic.physnet)}."
        for nic in target.plan.nics
        if nic.role != "left alone"
    ]
    return " ".join([*nics, *(f"Network {label}." for label in labels), *ends])


def _width(text: str, style: str) -> int:
    return width_at_most(text, SIZES[style], bold=style in BOLD)
