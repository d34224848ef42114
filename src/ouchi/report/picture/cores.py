"""Cores in a picture: the threads of each side by side, below them what runs there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ouchi.report.picture.content import DrawnCore, Frame
from ouchi.report.picture.cpus import DrawnCpu, Note
from ouchi.report.picture.shapes import Block, Box, Measures, flowed, stacked

MOST_THREADS = 8  # of one core side by side; more, which no real core has, go below


def short_notes(frames: Iterable[Frame], measures: Measures) -> frozenset[Note]:
    """The notes that do not fit somewhere and are abbreviated everywhere; when one is a guest's, all guests'."""
    runs = [
        (note, measures.width_of(note.long, "note") > _width(len(run), measures))
        for core in _cores(frames)
        for row in _rows(core.threads, MOST_THREADS)
        for note, run in _runs(row)
        if note
    ]
    too_long = {note for note, is_too_long in runs if is_too_long}
    if any(note.of_guest for note in too_long):
        too_long |= {note for note, _ in runs if note.of_guest}
    return frozenset(too_long)


def cluster_block(cores: Sequence[DrawnCore], measures: Measures, short: frozenset[Note], limit: int) -> Block:
    """Cores that share an L2 cache, in a box of their own; a single core without."""
    blocks = [core_block(core, measures, short, limit) for core in cores]
    if len(blocks) == 1:
        return blocks[0]
    x, y = measures.cluster_pad
    inside = flowed(blocks, measures.core_gap, limit)
    box = Box("cluster", 0, 0, inside.width + 2 * x, inside.height + 2 * y)
    return Block(box.width, box.height, (box,), ((x, y, inside),))


def core_block(core: DrawnCore, m: Measures, short: frozenset[Note], limit: int) -> Block:
    """A core, no wider than the limit as long as one thread fits."""
    x, y = m.core_pad
    most = max(1, (limit - 2 * x + m.cell_gap) // (m.cell[0] + m.cell_gap))
    inside = stacked([_threads(row, m, short) for row in _rows(core.threads, min(most, MOST_THREADS))], m.cell_gap)
    box = Box("core", 0, 0, inside.width + 2 * x, inside.height + 2 * y, look=core.kind)
    return Block(box.width, box.height, (box,), ((x, y, inside),))


def _threads(threads: Sequence[DrawnCpu], m: Measures, short: frozenset[Note]) -> Block:
    width, height = m.cell
    boxes = []
    for column, thread in enumerate(threads):
        look = thread.pools[0] if thread.pools else ""
        x = column * (width + m.cell_gap)
        boxes.append(Box("cpu", x, 0, width, height, str(thread.cpu), look, cpu=thread.cpu, thread=thread))
    x = 0
    for note, run in _runs(threads) if m.note else ():
        if note:
            text = m.fit(note.short if note in short else note.long, "note", _width(len(run), m))
            boxes.append(Box("note", x, height, _width(len(run), m), m.note, text, note.look))
        x += _width(len(run), m) + m.cell_gap
    has_notes = any(box.kind == "note" for box in boxes)
    return Block(_width(len(threads), m), height + m.note * has_notes, tuple(boxes))


def _runs(threads: Iterable[DrawnCpu]) -> list[tuple[Note | None, list[DrawnCpu]]]:
    """Neighbouring CPUs with the same note."""
    return [(note, list(run)) for note, run in groupby(threads, key=lambda thread: thread.note)]


def _rows(threads: Sequence[DrawnCpu], most: int) -> Iterator[Sequence[DrawnCpu]]:
    return (threads[start : start + most] for start in range(0, len(threads), most))


def _width(cells: int, measures: Measures) -> int:
    return cells * (measures.cell[0] + measures.cell_gap) - measures.cell_gap


def _cores(frames: Iterable[Frame]) -> Iterator[DrawnCore]:
    for frame in frames:
        yield from _cores(frame.frames)
        for group in frame.groups:
            for section in group.sections:
                for cluster in section.clusters:
                    yield from cluster
