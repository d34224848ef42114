"""NICs in a picture: boxes with their Rx queues as tabs, on a bus below their NUMA node."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ouchi.report.picture.nics import DrawnNic, Queue
from ouchi.report.picture.shapes import Block, Box, Line, Measures, flowed, gridded, stacked

MOST_CHIPS = 16  # queues drawn on a NIC; the rest are counted


def nic_blocks(nics: Sequence[DrawnNic], m: Measures, limit: int) -> list[Block]:
    """The NICs of a node, all of one width and no wider than the limit."""
    least, most = m.nic_room
    room = min(max(least, *(_text_width(nic, m) for nic in nics)), most, limit - 2 * m.nic[0])
    return [_nic_block(nic, m, room) for nic in nics]


def _text_width(nic: DrawnNic, m: Measures) -> int:
    """The room for all that is written on a NIC."""
    heading = m.width_of(nic.name, "name") + (m.width_of(nic.speed, "small") + m.nic[0] if nic.speed else 0)
    chips = sum(chip.width + m.cell_gap for chip in _chips(nic.queues, m))
    return max(heading, chips, *(m.width_of(line, "small") for line in nic.lines), 0)


def _nic_block(nic: DrawnNic, m: Measures, room: int) -> Block:
    """The chips of its queues at the top, then its name and what it is for."""
    across, down = m.nic
    rows = [_heading(nic, m, room), *(m.text_line(line, "small", room) for line in nic.lines)]
    text = stacked(rows, 0)
    chips = flowed(_chips(nic.queues, m), (m.cell_gap, m.cell_gap), room)
    top = down + chips.height
    look = nic.role.replace(" ", "-") or "facts"
    box = Box("nic", 0, 0, room + 2 * across, top + text.height + down, look=look)
    return Block(box.width, box.height, (box,), ((across, m.chip_top, chips), (across, top, text)))


def _heading(nic: DrawnNic, m: Measures, room: int) -> Block:
    """The name at the left, the speed at the right."""
    rate = m.text_line(nic.speed, "small", room // 2, "end")
    name = m.text_line(nic.name, "name", room - (rate.width + m.nic[0] if rate.width else 0))
    return Block(room, m.line, (), ((0, 0, name), *([(room - rate.width, 0, rate)] if rate.width else [])))


def _chips(queues: Sequence[Queue], measures: Measures) -> list[Block]:
    named = [
        (f"q{queue.number}→{queue.cpu}{'' if queue.near else '!'}", "" if queue.near else "far", queue.cpu)
        for queue in queues[:MOST_CHIPS]
    ]
    named += [(f"+{len(queues) - MOST_CHIPS}", "more", -1)] if len(queues) > MOST_CHIPS else []
    across, height = measures.chip
    chips = []
    for text, look, cpu in named:
        width = measures.width_of(text, "chip") + 2 * across
        chips.append(Block(width, height, (Box("chip", 0, 0, width, height, text, look, cpu=cpu),)))
    return chips


def with_nics(box: Block, nics: Sequence[Block], m: Measures, limit: int) -> Block:
    """A box with NICs below it in rows: the first row hangs from the box, the others from a bus beside them."""
    left = m.pad[0]
    width = max(nic.width for nic in nics)
    room = min(limit, max(box.width, left + 2 * width + m.gap[0])) - left
    columns = max(1, (room + m.gap[0]) // (width + m.gap[0]))
    below = gridded(nics, (m.gap[0], max(1, m.bus)), min(columns, len(nics)), level=True)
    box = box.stretched(left + below.width, box.height)
    inside = [(left + x, box.height + m.bus + y, nic) for x, y, nic in below.inside]
    lines = _bus([(x, y) for x, y, _ in inside], box.height - m.inset, m)
    return Block(box.width, box.height + m.bus + below.height, box.boxes, (*box.inside, *inside), tuple(lines))


def _bus(nics: Sequence[tuple[int, int]], edge: int, measures: Measures) -> list[Line]:
    """The lines to NICs at these positions from the ``edge`` of their node."""
    lines = []
    pin = measures.nic[0] // 2
    for number, (top, group) in enumerate(groupby(nics, key=lambda nic: nic[1])):
        pins = [x + pin for x, _ in group]
        start = edge
        if number:
            start = top - max(1, measures.bus // 2)
            trunk = measures.pad[0] // 2
            lines.append(Line(((trunk, edge), (trunk, start), (pins[-1], start)), "bus"))
        lines += [Line(((x, start), (x, top)), "bus") for x in pins]
    return lines
