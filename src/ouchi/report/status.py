"""A host's status for people: a table from the machine up, then what is wrong and what to do about it."""

from __future__ import annotations

from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from ouchi.report.page import finding_text, page
from ouchi.status.values import NOT_ASKED, HostStatus, Part


def status_text(status: HostStatus, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole of it; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    labels = [Text(f"label: {label}", style="yellow") for label in status.labels]
    findings = [finding_text(finding) for finding in status.findings]
    tables = [_table(status)] if status.parts else []
    return page(_headline(status), *labels, *tables, *findings, width=width, colour=colour)


def _headline(status: HostStatus) -> Text:
    if not status.up:
        return Text("ouchi is not up (next: ouchi up)", style="bold")
    if status.healthy:
        return Text(f"ouchi is up: {len(status.parts)} parts, all as planned", style="bold green")
    wrong = sum(not part.ok for part in status.parts)
    return Text(f"ouchi is up, but {wrong} of {len(status.parts)} parts are not as planned", style="bold red")


def _table(status: HostStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("layer", style="dim", no_wrap=True)
    table.add_column("part", min_width=25, max_width=34)
    table.add_column("state", max_width=15)
    table.add_column("seen")
    for layer, parts in groupby(status.parts, key=lambda part: part.layer):
        for number, part in enumerate(parts):
            table.add_row("" if number else layer, _name(part), part.state, _seen(part), style=_style(part))
        table.add_section()
    return table


def _style(part: Part) -> str:
    if part.ok:
        return ""
    return "yellow" if part.state == NOT_ASKED else "red"


def _name(part: Part) -> Text:
    mark, style = ("✔", "green") if part.ok else ("?", "yellow") if part.state == NOT_ASKED else ("✘", "red")
    return Text.assemble((f"{mark} ", style), part.label)


def _seen(part: Part) -> Text:
    """What was found; a check's claim before it, a service's restarts after it; nothing twice."""
    found = "" if part.found.lower() == part.state else part.found
    if part.kind == "service":
        return Text.assemble(found, (f"; {part.detail}" if part.detail else "", "yellow"))
    if part.kind == "guest":
        return Text(f"{part.detail}: {found}")
    return Text(found)
