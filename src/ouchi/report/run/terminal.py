"""A run for the terminal: headline, labels, the rates found and their latencies; dry runs and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from ouchi.measure.runs.compare import ComparedRuns
from ouchi.measure.runs.model import Run
from ouchi.report.page import FindingText, label_lines, page, plain_table
from ouchi.report.run.keys import key_text
from ouchi.report.run.table import Table, headline, tables_of, trials_line


def run_text(run: Run, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole run; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    parts: list[RenderableType] = [Text(headline(run), style="bold"), Text(trials_line(run))]
    parts += label_lines(run.info.labels)
    for table in tables_of(run):
        parts += ["", _drawn(table)]
    if run.warnings:
        parts += ["", *map(FindingText, run.warnings)]
    return page(*parts, width=width, colour=colour)


def _drawn(table: Table) -> RichTable:
    drawn = plain_table()
    for column, name in enumerate(table.columns):
        drawn.add_column(name, justify="left" if column in table.text_columns else "right")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn


def preview_text(preview: Mapping[str, Any]) -> str:
    """A dry run: what would be measured, a line for each key."""
    lines = [
        f"{key_text(key) + ':':<18}{', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in preview.items()
    ]
    return "\n".join(["dry run: nothing is changed; would measure", *lines])


def comparison_text(compared: ComparedRuns) -> str:
    """A line for each frame size and goal."""
    return "\n".join(f"{row.size} B, {row.goal}: {row.comparison.verdict}" for row in compared.rows)
