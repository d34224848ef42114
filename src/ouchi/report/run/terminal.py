"""A run for a terminal: what was measured, its labels, the rates found and the latencies there."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ouchi.measure.runs.model import Run
from ouchi.report.page import finding_text, page
from ouchi.report.run.table import Table, headline, tables_of, trials_line


def run_text(run: Run, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole of it; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    parts: list[RenderableType] = [Text(headline(run), style="bold"), Text(trials_line(run))]
    parts += [Text(f"label: {label}", style="yellow") for label in run.about.labels]
    for table in tables_of(run):
        parts += ["", _drawn(table)]
    if run.notes:
        parts += ["", *map(finding_text, run.notes)]
    return page(*parts, width=width, colour=colour)


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for place, name in enumerate(table.columns):
        drawn.add_column(name, justify="left" if place in table.words else "right")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn
