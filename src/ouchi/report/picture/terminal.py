"""A picture for the terminal: box characters, and colours that may be missing, as every CPU names its pool."""

from __future__ import annotations

from itertools import groupby, pairwise

from rich.cells import cell_len
from rich.text import Text

from ouchi.facts import Facts
from ouchi.plan.values import Plan
from ouchi.report.page import page, page_width
from ouchi.report.picture.content import Content, content_of
from ouchi.report.picture.layout import lay_out
from ouchi.report.picture.shapes import Box, Line, Measures, Picture

NARROWEST = 40  # columns; narrower terminals wrap the lines

_UP, _RIGHT, _DOWN, _LEFT = 1, 2, 4, 8
_STROKES = dict(enumerate(" ╵╶╰╷│╭├╴╯─┴╮┤┬┼"))
"""The box character for the sides that a stroke continues to, added up."""

_SIDES = {(0, -1): _UP, (1, 0): _RIGHT, (0, 1): _DOWN, (-1, 0): _LEFT}
_BRACKETS = {"efficient": "()"}
_STYLES = {
    "host": "black on white",
    "pmd": "bold black on yellow",
    "dedicated": "white on blue",
    "shared": "black on green",
    "title": "bold",
    "subtitle": "dim",
    "label": "bold",
    "name": "bold",
    "chip": "yellow",
    "edge": "bright_black",
}


def picture_text(facts: Facts, plan: Plan | None, width: int | None = None, *, colour: bool | None = None) -> str:
    """The picture in characters; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    content = content_of(facts, plan)
    picture = geometry(content, max(NARROWEST, width or page_width()))
    return page(Text("\n").join(_Canvas(picture, _digits(content)).lines()), width=width, colour=colour)


def geometry(content: Content, width: int) -> Picture:
    """Where everything is, in characters, in so many columns at most."""
    return lay_out(content, _measures(content, width))


def _measures(content: Content, width: int) -> Measures:
    """In characters: a CPU is its number and its letters, a core is in brackets; boxes are drawn on their edge."""
    cell = _digits(content) + max((len(thread.letters) for thread in content.threads), default=0)
    return Measures(
        width_of=_width_of,
        score=lambda across, down: down * 1000 + across,
        limit=width,
        least=width,
        page=(0, 0),
        cell=(cell, 1),
        cell_gap=1,
        note=0,
        core_pad=(1, 0),
        core_gap=(1, 0),
        cluster_pad=(0, 0),
        pad=(2, 1),
        gap=(1, 0),
        inset=1,
        title=1,
        label=0,
        label_top=0,
        line=1,
        lane=0,
        bus=0,
        nic=(2, 1),
        nic_room=(18, 40),
        chip=(0, 1),
        chip_top=1,
        swatch=(0, 0),
        entry_gap=(3, 0),
    )


def _width_of(text: str, _style: str) -> int:
    # A text may be marks alone, which take no column by themselves.
    return max(1, cell_len(text)) if text else 0


def _digits(content: Content) -> int:
    return max((len(str(thread.cpu)) for thread in content.threads), default=1)


class _Canvas:
    """Characters by position, each with its style; strokes that meet become one character."""

    def __init__(self, picture: Picture, digits: int) -> None:
        self._height = picture.height
        self._digits = digits
        self._letters: dict[tuple[int, int], tuple[str, str]] = {}
        self._strokes: dict[tuple[int, int], int] = {}
        for box in picture.boxes:
            self._draw(box)
        for line in picture.lines:
            self._line(line)

    def lines(self) -> list[Text]:
        rows: list[dict[int, tuple[str, str]]] = [{} for _ in range(self._height)]
        for (x, y), sides in self._strokes.items():
            rows[y][x] = (_STROKES[sides], _STYLES["edge"])
        for (x, y), letter in self._letters.items():
            rows[y][x] = letter
        return [_line_of(row) for row in rows]

    def _draw(self, box: Box) -> None:
        match box.kind:
            case "frame" | "group" | "nic":
                right, bottom = box.right - 1, box.bottom - 1
                corners = ((box.x, box.y), (right, box.y), (right, bottom), (box.x, bottom), (box.x, box.y))
                self._line(Line(corners, "edge"))
            case "core":
                for y in range(box.y, box.bottom):
                    for x, bracket in zip((box.x, box.right - 1), _BRACKETS.get(box.look, "[]"), strict=True):
                        self._write(x, y, bracket, "")
            case "cpu":
                self._cpu(box)
            case "swatch":
                self._write(box.x, box.y, box.text, _STYLES.get(box.look.partition(" ")[2], "bold"))
            case "text" | "chip":
                style = box.look if box.kind == "text" else "chip"
                text = f" {box.text} " if style == "label" else box.text
                x = box.right - cell_len(text) if box.align == "end" else box.x - (style == "label")
                self._write(x, box.y, text, _STYLES.get(style, ""))

    def _cpu(self, box: Box) -> None:
        """The number and the letter of its first pool in the colour of that, the letters of others in theirs."""
        thread = box.thread
        if thread is None:
            return
        number = str(thread.cpu).rjust(self._digits)
        styles = [_STYLES[pool] for pool in thread.pools] if thread.online else []
        first = styles[0] if styles else ("" if thread.online else "dim")
        self._write(box.x, box.y, number + thread.letters.ljust(box.width - self._digits), first)
        for index, style in enumerate(styles):
            self._write(box.x + self._digits + index, box.y, thread.letters[index], style)

    def _line(self, line: Line) -> None:
        for (x, y), (to_x, to_y) in pairwise(line.points):
            across, down = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
            ahead, behind = _SIDES[across, down], _SIDES[-across, -down]
            while (x, y) != (to_x, to_y):
                self._strokes[x, y] = self._strokes.get((x, y), 0) | ahead
                x, y = x + across, y + down
                self._strokes[x, y] = self._strokes.get((x, y), 0) | behind

    def _write(self, x: int, y: int, text: str, style: str) -> None:
        last = x
        for letter in text:
            width = cell_len(letter)
            if not width:  # it joins the letter before it
                before, its_style = self._letters.get((last, y), ("", style))
                self._letters[last, y] = (before + letter, its_style)
                continue
            self._letters[x, y] = (letter, style)
            self._letters |= {(x + more, y): ("", style) for more in range(1, width)}
            last, x = x, x + width


def _line_of(row: dict[int, tuple[str, str]]) -> Text:
    line = Text(no_wrap=True)
    columns = range(max(row, default=-1) + 1)
    for style, run in groupby((row.get(x, (" ", "")) for x in columns), key=lambda letter: letter[1]):
        line.append("".join(letter for letter, _ in run), style)
    line.rstrip()
    return line
