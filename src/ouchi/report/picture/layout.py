"""Where everything of a picture is: pure geometry, for any measures.

Cores flow in rows inside their L3 group, groups stand in a grid inside their NUMA node, nodes inside their socket,
sockets on the page; NICs stand below their node. Each level takes the arrangement with the best score.
"""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.report.picture.content import Content, DrawnCore, Entry, Frame
from ouchi.report.picture.cores import core_block, short_notes
from ouchi.report.picture.cpus import Note
from ouchi.report.picture.groups import boxed, groups_block
from ouchi.report.picture.nic_boxes import nic_blocks, with_nics
from ouchi.report.picture.routes import queue_lines
from ouchi.report.picture.shapes import Block, Box, Measures, Picture, best_columns, flowed, gridded, rows_of, stacked


def lay_out(content: Content, m: Measures) -> Picture:
    """The picture in these measures."""
    room = m.limit - 2 * m.page[0]
    short = short_notes(content.frames, m)
    body = [_frames(content.frames, m, short, room)]
    if content.offline:
        body.append(_offline(content, m, min(room, max(body[0].width, m.least))))
    width = min(room, max(m.least, *(block.width for block in body)))
    page = stacked([_head(content, m, width), *body, _legend(content, m, short, width)], m.gap[1])
    boxes = tuple(page.all_boxes(*m.page))
    return Picture(
        width=width + 2 * m.page[0],
        height=page.height + 2 * m.page[1],
        boxes=boxes,
        lines=(*page.all_lines(*m.page), *queue_lines(boxes, m)),
        title=content.title,
        description=content.description,
    )


def _head(content: Content, m: Measures, width: int) -> Block:
    """The title, and below it phrases in lines as full as they fit."""
    dot = m.width_of(" · ", "subtitle")
    lines = [m.text_line(content.title, "title", width)]
    for phrases in content.subtitle:
        rows = rows_of(phrases, [m.width_of(phrase, "subtitle") for phrase in phrases], dot, width)
        lines += [m.text_line(" · ".join(row), "subtitle", width) for row in rows]
    return stacked(lines, 0)


def _frames(frames: Sequence[Frame], m: Measures, short: frozenset[Note], limit: int) -> Block:
    """Frames in a grid; what is inside them stands in as many columns in each."""
    room = limit - 2 * m.pad[0]
    inside = [[_node(inner, m, short, room) for inner in frame.frames] for frame in frames]
    tried = []
    for columns in range(1, max(1, *map(len, inside), 0) + 1):
        blocks = [
            _framed(frame, gridded(inner, m.gap, columns, level=False), m, limit)
            if inner
            else _node(frame, m, short, limit)
            for frame, inner in zip(frames, inside, strict=True)
        ]
        grid = gridded(blocks, m.gap, best_columns(blocks, m, limit), level=False)
        if columns == 1 or grid.width <= limit:
            tried.append(grid)
    return min(tried, key=lambda grid: m.score(grid.width, grid.height))


def _node(frame: Frame, measures: Measures, short: frozenset[Note], limit: int) -> Block:
    """A frame with L3 groups inside."""
    return _framed(frame, groups_block(frame.groups, measures, short, limit - 2 * measures.pad[0]), measures, limit)


def _framed(frame: Frame, body: Block, m: Measures, limit: int) -> Block:
    """A body in the box of its frame, with its NICs below it."""
    room = limit - 2 * m.pad[0]
    lane = m.lane if any(nic.queues for nic in frame.nics) else 0
    box = boxed("frame", "", m.fit(frame.label, "label", room), body, m, lane)
    return with_nics(box, nic_blocks(frame.nics, m, room), m, limit) if frame.nics else box


def _offline(content: Content, measures: Measures, limit: int) -> Block:
    """CPUs whose core the kernel does not report."""
    room = limit - 2 * measures.pad[0]
    cores = [core_block(DrawnCore((thread,), ""), measures, frozenset(), room) for thread in content.offline]
    label = measures.fit("Offline: the kernel does not say where", "label", room)
    return boxed("frame", "offline", label, flowed(cores, measures.core_gap, room), measures)


def _legend(content: Content, m: Measures, short: frozenset[Note], width: int) -> Block:
    used = {letter for note in short for letter in ([note.short] if note.of_guest else note.short)}
    rows = [
        flowed(
            [_entry(entry, m, entry.swatch == "chip" or entry.short in used, width) for entry in row],
            m.entry_gap,
            width,
        )
        for row in content.legend
    ]
    return stacked(rows, m.entry_gap[1])


def _entry(entry: Entry, m: Measures, lettered: bool, limit: int) -> Block:
    """A swatch, with its letters where the drawing has them, and its words."""
    letters = entry.short if lettered or not m.note else ""
    across = max(m.swatch[0], m.width_of(letters, "chip") + m.swatch[1])
    words = m.text_line(entry.text, "small", limit - across - m.core_gap[0])
    swatch = Box("swatch", 0, 0, across, m.line, letters, f"{entry.swatch} {entry.look}".strip())
    left = across + m.core_gap[0]
    return Block(left + words.width, m.line, (swatch,), ((left, 0, words),))
