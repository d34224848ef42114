"""The geometry of a picture as frozen values: boxes, lines, blocks of them, and the measures of one form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ouchi.report.picture.cpus import DrawnCpu

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Box:
    """A box to draw. ``kind``: frame, group, cluster, core, cpu, note, nic, chip, swatch, or text, which has no edge.

    ``look`` is a pool, a guest's shade, a role or a style of text; ``text`` is written inside, from the side that
    ``align`` says; ``cpu`` is the CPU that a cell or a queue is about.
    """

    kind: str
    x: int
    y: int
    width: int
    height: int
    text: str = ""
    look: str = ""
    align: str = "middle"
    cpu: int = -1
    thread: DrawnCpu | None = None

    @property
    def right(self) -> int:
        """The first unit to the right of it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first unit below it."""
        return self.y + self.height

    def holds(self, other: Box) -> bool:
        """True when the other is inside."""
        across = self.x <= other.x and other.right <= self.right
        return across and self.y <= other.y and other.bottom <= self.bottom

    def moved(self, x: int, y: int) -> Box:
        """The same further right and down."""
        return replace(self, x=self.x + x, y=self.y + y)


@dataclass(frozen=True, slots=True)
class Line:
    """A line along its points: ``bus`` (a NIC's bus) or ``queue`` (from a queue to the CPU that polls it)."""

    points: tuple[tuple[int, int], ...]
    look: str

    def moved(self, x: int, y: int) -> Line:
        """The same further right and down."""
        return replace(self, points=tuple((left + x, top + y) for left, top in self.points))


@dataclass(frozen=True, slots=True)
class Block:
    """Boxes and lines that keep together, from (0, 0), and the blocks inside with their positions (x, y).

    The first box is the one around everything, if there is one.
    """

    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    inside: tuple[tuple[int, int, Block], ...] = ()
    lines: tuple[Line, ...] = ()

    def stretched(self, width: int, height: int) -> Block:
        """At least so large, its box with it."""
        wider, higher = max(0, width - self.width), max(0, height - self.height)
        box = replace(self.boxes[0], width=self.boxes[0].width + wider, height=self.boxes[0].height + higher)
        return replace(self, width=self.width + wider, height=self.height + higher, boxes=(box, *self.boxes[1:]))

    def blocks(self, x: int, y: int) -> Iterator[tuple[int, int, Block]]:
        """This block and every one inside with its position, when this one stands at (x, y)."""
        yield x, y, self
        for right, down, block in self.inside:
            yield from block.blocks(x + right, y + down)


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole, from (0, 0) to (``width``, ``height``); boxes in the order in which they cover each other."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Measures:
    """The sizes of one form of the picture in its own unit: SVG's user units, or characters; pairs are (x, y).

    ``width_of`` (text, style) must never be less than what is drawn. ``score`` (width, height): of two arrangements
    the lower is taken. ``limit`` and ``least`` are the widths that the picture must not exceed and should fill.
    ``note``: the height of the strip that says what runs on a core, 0 for none. ``title``, ``label`` and
    ``line``: heights of the title, of a box's label and of a line of text. ``lane``: the room below cores for the lines to their queues. ``bus``: how
    far below its node a NIC hangs. ``inset``: how far inside a box its edge is drawn. ``nic_room``: the least and
    the most width of a NIC's text. ``chip``: the room at the sides of a chip's text, and its height;
    ``chip_top``: where in a NIC they begin. ``swatch``: the least width of one, and the room around its letters.
    """

    width_of: Callable[[str, str], int]
    score: Callable[[int, int], float]
    limit: int
    least: int
    page: tuple[int, int]
    cell: tuple[int, int]
    cell_gap: int
    note: int
    core_pad: tuple[int, int]
    core_gap: tuple[int, int]
    cluster_pad: tuple[int, int]
    pad: tuple[int, int]
    gap: tuple[int, int]
    inset: int
    title: int
    label: int
    label_top: int
    line: int
    lane: int
    bus: int
    nic: tuple[int, int]
    nic_room: tuple[int, int]
    chip: tuple[int, int]
    chip_top: int
    swatch: tuple[int, int]
    entry_gap: tuple[int, int]

    def text_line(self, text: str, style: str, room: int, align: str = "start") -> Block:
        """A line of text as a block, shortened to the room."""
        text = self.fit(text, style, room)
        width = self.width_of(text, style)
        height = self.title if style == "title" else self.line
        return Block(width, height, (Box("text", 0, 0, width, height, text, style, align),))

    def fit(self, text: str, style: str, room: int) -> str:
        """The text, or as much of its beginning as there is room for, with an ellipsis."""
        if self.width_of(text, style) <= room:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.width_of(f"{text[:middle].rstrip()}…", style) <= room:
                low = middle
            else:
                high = middle - 1
        return f"{text[:low].rstrip()}…" if self.width_of("…", style) <= room else ""


def stacked(blocks: Sequence[Block], gap: int) -> Block:
    """One below the other."""
    return placed([[block] for block in blocks], (0, gap))


def flowed(blocks: Sequence[Block], gap: tuple[int, int], limit: int) -> Block:
    """In rows no wider than ``limit``, as text."""
    return placed(rows_of(blocks, [block.width for block in blocks], gap[0], limit), gap)


def gridded(blocks: Sequence[Block], gap: tuple[int, int], columns: int, *, level: bool) -> Block:
    """In columns of one width; ``level``: those of a row stretched to one height."""
    width = max((block.width for block in blocks), default=0)
    rows = [blocks[start : start + columns] for start in range(0, len(blocks), columns)]
    heights = [max(block.height for block in row) if level else 0 for row in rows]
    return placed(
        [[block.stretched(width, height) for block in row] for row, height in zip(rows, heights, strict=True)], gap
    )


def best_columns(blocks: Sequence[Block], measures: Measures, limit: int) -> int:
    """Of how many columns a grid of these scores best within the limit."""
    across, down = measures.gap
    width = max((block.width for block in blocks), default=0)
    most = max(1, min(len(blocks), (limit + across) // max(1, width + across)))

    def score(columns: int) -> float:
        rows = (blocks[start : start + columns] for start in range(0, len(blocks), columns))
        height = sum(max(block.height for block in row) + down for row in rows) - down
        empty = columns * -(-len(blocks) // columns) / max(1, len(blocks)) - 1
        return measures.score(columns * (width + across) - across, height) + empty

    return min(range(1, most + 1), key=score)


def rows_of(items: Sequence[T], widths: Sequence[int], gap: int, limit: int) -> list[list[T]]:
    """The items in rows no wider than the limit; an item that is wider has a row of its own."""
    rows: list[list[T]] = []
    used = 0
    for item, width in zip(items, widths, strict=True):
        if not rows or used + gap + width > limit:
            rows.append([])
            used = -gap
        rows[-1].append(item)
        used += gap + width
    return rows


def placed(rows: Sequence[Sequence[Block]], gap: tuple[int, int]) -> Block:
    """Rows of blocks, each row as high as its highest block."""
    inside: list[tuple[int, int, Block]] = []
    width = y = 0
    for row in rows:
        x = 0
        for block in row:
            inside.append((x, y, block))
            x += block.width + gap[0]
        width = max(width, x - gap[0])
        y += max((block.height for block in row), default=0) + gap[1]
    return Block(width, max(0, y - gap[1]), inside=tuple(inside))
