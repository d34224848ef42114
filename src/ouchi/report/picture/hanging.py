"""Network cards in a picture: each a card with its queues as tabs, hung on the node that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ouchi.report.picture.cards import Card, Queue
from ouchi.report.picture.shapes import Block, Line, Measures, Part, flowed, gridded, stacked

MOST_CHIPS = 16  # queues drawn on a card; the rest are counted


def card_blocks(cards: Sequence[Card], measures: Measures, limit: int) -> list[Block]:
    """The cards of a node, all of one width and no wider than the limit."""
    m = measures
    least, most = m.card_room
    room = min(max(least, *(_wanted(card, m) for card in cards)), most, limit - 2 * m.card[0])
    return [_card(card, m, room) for card in cards]


def _wanted(card: Card, measures: Measures) -> int:
    """The room for all that is written on a card."""
    m = measures
    heading = m.width_of(card.name, "name") + (m.width_of(card.speed, "small") + m.card[0] if card.speed else 0)
    chips = sum(chip.width + m.cell_gap for chip in _chips(card.queues, m))
    return max(heading, chips, *(m.width_of(line, "small") for line in card.lines), 0)


def _card(card: Card, measures: Measures, room: int) -> Block:
    """The chips of its queues at the top, then its name and what it is for."""
    m = measures
    across, down = m.card
    rows = [_heading(card, m, room), *(m.words(line, "small", room) for line in card.lines)]
    text = stacked(rows, 0)
    chips = flowed(_chips(card.queues, m), (m.cell_gap, m.cell_gap), room)
    top = down + chips.height
    look = card.role.replace(" ", "-") or "facts"
    box = Part("card", 0, 0, room + 2 * across, top + text.height + down, look=look)
    return Block(box.width, box.height, (box,), ((across, m.chip_top, chips), (across, top, text)))


def _heading(card: Card, measures: Measures, room: int) -> Block:
    """The name at the left, the speed at the right."""
    m = measures
    rate = m.words(card.speed, "small", room // 2, "end")
    name = m.words(card.name, "name", room - (rate.width + m.card[0] if rate.width else 0))
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
        chips.append(Block(width, height, (Part("chip", 0, 0, width, height, text, look, cpu=cpu),)))
    return chips


def hung(box: Block, cards: Sequence[Block], measures: Measures, limit: int) -> Block:
    """A box with cards below it in rows: the first row hangs on the box, the others on a bus beside them."""
    m = measures
    left = m.pad[0]
    width = max(card.width for card in cards)
    room = min(limit, max(box.width, left + 2 * width + m.gap[0])) - left
    columns = max(1, (room + m.gap[0]) // (width + m.gap[0]))
    below = gridded(cards, (m.gap[0], max(1, m.hang)), min(columns, len(cards)), level=True)
    box = box.stretched(left + below.width, box.height)
    inside = [(left + x, box.height + m.hang + y, card) for x, y, card in below.inside]
    lines = _bus([(x, y) for x, y, _ in inside], box.height - m.inset, m)
    return Block(box.width, box.height + m.hang + below.height, box.parts, (*box.inside, *inside), tuple(lines))


def _bus(cards: Sequence[tuple[int, int]], edge: int, measures: Measures) -> list[Line]:
    """The lines that cards at these places hang by, from the ``edge`` of their node."""
    lines = []
    pin = measures.card[0] // 2
    for number, (top, group) in enumerate(groupby(cards, key=lambda card: card[1])):
        pins = [x + pin for x, _ in group]
        start = edge
        if number:
            start = top - max(1, measures.hang // 2)
            trunk = measures.pad[0] // 2
            lines.append(Line(((trunk, edge), (trunk, start), (pins[-1], start)), "hang"))
        lines += [Line(((x, start), (x, top)), "hang") for x in pins]
    return lines
