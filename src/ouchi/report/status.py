"""A host's status for people: a table from the machine up, then what is wrong and what to do about it."""

from __future__ import annotations

from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from ouchi.checks.status.values import NOT_ASKED, HostStatus, Part
from ouchi.report.page import finding_text, page


def status_text(status: HostStatus, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole of it; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    labels = [Text(f"label: {label}", style="yellow") for label in status.labels]
    findings = [finding_text(finding) for finding in status.findings]
    tables = [_table(status)] if status.parts else []
    between = [""] if findings else []
    return page(_headline(status), *labels, "", *tables, *between, *findings, width=width, colour=colour)


def _headline(status: HostStatus) -> Text:
    if not status.up:
        return Text("ouchi is not up (next: ouchi up)", style="bold")
    if status.healthy:
        return Text(f"ouchi is up: {len(status.parts)} parts, all as planned", style="bold green")
    wrong = sum(not part.ok for part in status.parts)
    return Text(f"ouchi is up, but {wrong} of {len(status.parts)} parts are not as planned", style="bold red")


def _table(status: HostStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    table.add_column("layer", style="dim", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    table.add_column("part", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("seen", overflow="fold")
    for layer, parts in groupby(status.parts, key=lambda part: part.layer):
        shown = {"layer": layer, "label": ""}
        for part in parts:
            mark, style = _mark(part)
            # Neither the layer nor the name of a part with several lines is said again.
            label = "" if part.label == shown["label"] else part.label
            row = (shown["layer"], Text(mark, style=style), label, part.state, _seen(part))
            table.add_row(*row, style="" if part.ok else style)
            shown = {"layer": "", "label": part.label}
        table.add_section()
    return table


def _mark(part: Part) -> tuple[str, str]:
    if part.ok:
        return "✔", "green"
    return ("?", "yellow") if part.state == NOT_ASKED else ("✘", "red")


def _seen(part: Part) -> Text:
    """What was found; what a check says should be so before it, a service's restarts after it; nothing twice."""
    found = "" if part.found.lower() == part.state else part.found
    if part.kind == "service":
        return Text.assemble(found, (f"; {part.detail}" if part.detail else "", "yellow"))
    if part.kind == "API":
        return Text(found)
    return Text(": ".join(filter(None, (part.detail, found))))
