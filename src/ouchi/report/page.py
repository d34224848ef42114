"""Render rich objects as text: as wide as the terminal, up to a readable width; unwrapped into files and pipes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ouchi.core.errors import Finding, Severity
from ouchi.core.printable import printable
from ouchi.core.wrap import wrapped
from ouchi.machine.program import as_started

WIDEST = 120
UNWRAPPED = 10_000
"""Columns where there is no terminal: each line stays whole, so that grep(1) finds it."""
COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold cyan"}


class PrintableConsole(Console):
    """rich's console, in whose texts control characters are dots; styles and the cursor are its own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render it, each piece of text printable."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(printable(piece.text), piece.style)


def live_console() -> PrintableConsole:
    """The standard output, for what is drawn again and again: a stream that lets only styles pass would not move the cursor."""
    return PrintableConsole(file=getattr(sys.stdout, "whole", sys.stdout), highlight=False)


def page(*things: RenderableType, width: int | None = None, colour: bool | None = None) -> str:
    """``things`` below each other, without the spaces that rich ends lines with.

    ``width`` in columns, ``None``: the terminal's, or that of ``COLUMNS``, at most 120; without both no line is broken. ``colour`` ``None``: as
    the standard output is a terminal that likes it (``NO_COLOR`` is heeded).
    """
    outside = Console()
    if colour is None:
        colour = outside.is_terminal and not outside.no_color
    stream = io.StringIO()
    console = PrintableConsole(
        file=stream,
        width=width or (page_width() if outside.is_terminal or os.environ.get("COLUMNS") else UNWRAPPED),
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for thing in things:
        console.print(thing, soft_wrap=isinstance(thing, FindingText))  # a longer word than the line stays whole
    return as_started("\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n"))


def page_width() -> int:
    """The columns of a page: the terminal's, at most :data:`WIDEST`."""
    return min(Console().width, WIDEST)


def plain_table(*, header: bool = True) -> Table:
    """A table whose only line is below its header."""
    line, padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    return Table(box=line, show_edge=False, pad_edge=False, padding=padding, header_style="dim", show_header=header)


def label_lines(labels: Iterable[str]) -> list[Text]:
    """The labels that qualify figures, a line each."""
    return [Text(f"label: {label}", style="yellow") for label in labels]


@dataclass(frozen=True, slots=True)
class FindingText:
    """A finding with its severity in colour, broken between words."""

    finding: Finding

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        severity, rest = wrapped(as_started(str(self.finding)), options.max_width).split(":", 1)
        yield Text.assemble((severity, COLOURS[self.finding.severity]), f":{rest}", no_wrap=True, overflow="ignore")
