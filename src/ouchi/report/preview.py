"""What ``up`` would do, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from ouchi.core.errors import Finding
from ouchi.flows.preview import Intent, Will
from ouchi.plan.target import Target
from ouchi.report.page import page
from ouchi.report.plan import plan_text

MARKS = {Will.CHANGE: ("▸", "green"), Will.NOTHING: ("·", "dim"), Will.UNKNOWN: ("?", "yellow")}


def preview_text(
    target: Target, intents: Sequence[Intent], width: int | None = None, *, colour: bool | None = None
) -> str:
    """The plan, then task by task; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("mark")
    table.add_column("stage", style="bold", no_wrap=True)
    table.add_column("task", no_wrap=True)
    table.add_column("text")
    for intent in intents:
        mark, style = MARKS[intent.will]
        text = f"would {intent.text}" if intent.will is Will.CHANGE else intent.text
        table.add_row(
            Text(mark, style=style), intent.stage, intent.task, Text(text, style="" if mark == "▸" else style)
        )
    changes = sum(intent.will is Will.CHANGE and intent.stage != "verify" for intent in intents)
    plan = Text.from_ansi(plan_text(target.plan, width, colour=colour))
    closing = f"a dry run: nothing was changed; {changes} of {len(intents)} tasks would change something"
    return page(plan, "", table, "", closing, width=width, colour=colour)


def preview_json(target: Target, intents: Iterable[Intent], findings: Iterable[Finding]) -> dict[str, Any]:
    """The same as plain JSON, version 1."""
    return {
        "schema": 1,
        "site_file": target.site_file,
        "site_file_is_new": target.new,
        "plan": target.plan.to_json(),
        "tasks": [asdict(intent) | {"will": intent.will.name.lower()} for intent in intents],
        "findings": [finding.to_json() for finding in findings],
    }
