"""The status of a host as text: one line for each part, then findings with the next command."""

from __future__ import annotations

from itertools import groupby

from rich.table import Table
from rich.text import Text

from ouchi.core.errors import Severity
from ouchi.parts.host_status import HostStatus
from ouchi.parts.part import PartState
from ouchi.report.page import FindingText, label_lines, page, plain_table


def status_text(status: HostStatus, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole of it; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    labels = label_lines(status.labels)
    findings = [FindingText(finding) for finding in status.findings]
    tables = [_table(status)] if status.parts else []
    between = [""] if findings else []
    return page(_headline(status), *labels, "", *tables, *between, *findings, width=width, colour=colour)


def _headline(status: HostStatus) -> Text:
    if not status.up:
        return Text("ouchi is not up (next: ouchi up)", style="bold")
    if status.healthy:
        warnings = sum(finding.severity is Severity.WARNING for finding in status.findings)
        beside = f", {warnings} warning{'' if warnings == 1 else 's'}" if warnings else ""
        return Text(f"ouchi is up: {len(status.parts)} parts, all as planned{beside}", style="bold green")
    wrong = sum(not line.state.ok for line in status.parts)
    if not wrong:
        return Text(f"ouchi is up, but not as planned: {len(status.errors)} findings", style="bold red")
    return Text(f"ouchi is up, but {wrong} of {len(status.parts)} parts are not as planned", style="bold red")


def _table(status: HostStatus) -> Table:
    table = plain_table(header=False)
    table.add_column("stage", style="dim", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    table.add_column("part", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found", overflow="fold")
    for stage, lines in groupby(status.parts, key=lambda line: line.stage):
        shown = stage
        for line in lines:
            mark, style = _mark(line.state)
            row = (shown, Text(mark, style=style), line.name, line.state.state, line.state.found)
            table.add_row(*row, style="" if line.state.ok else style)
            shown = ""
        table.add_section()
    return table


def _mark(state: PartState) -> tuple[str, str]:
    if state.ok:
        return "✔", "green"
    return ("?", "yellow") if state.ok is None else ("✘", "red")
