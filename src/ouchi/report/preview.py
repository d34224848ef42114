"""The dry run of ``up``, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ouchi.core.errors import Finding
from ouchi.parts.part import PartState
from ouchi.plan.target import Target
from ouchi.report.page import page
from ouchi.report.plan import plan_text

States = Mapping[tuple[str, str], PartState]
"""By stage and task, in the order in which ``up`` shows them."""


def preview_text(target: Target, states: States) -> str:
    """The plan, then task by task."""
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column("mark")
    table.add_column("stage", style="bold", no_wrap=True)
    table.add_column("task", no_wrap=True)
    table.add_column("text")
    for (stage, task), state in states.items():
        mark, style, text = _row(state)
        table.add_row(Text(mark, style=style), stage, task, Text(text, style="" if mark == "▸" else style))
    changes = sum(_would(state) == "change" and stage != "verify" for (stage, _), state in states.items())
    plan = Text.from_ansi(plan_text(target.plan, colour=None))
    closing = f"a dry run: nothing was changed; {changes} of {len(states)} tasks would change something"
    return page(plan, "", table, "", closing)


def _would(state: PartState) -> str:
    """``change``, ``nothing`` or ``unknown``."""
    return "unknown" if state.ok is None else "change" if state.to_do else "nothing"


def _row(state: PartState) -> tuple[str, str, str]:
    match _would(state):
        case "unknown":
            return "?", "yellow", "; ".join(filter(None, [state.found, state.to_do and f"would {state.to_do}"]))
        case "change":
            return "▸", "green", f"would {state.to_do}"
        case _:
            return "·", "dim", state.found or state.state


def preview_json(target: Target, states: States, findings: Iterable[Finding]) -> dict[str, Any]:
    """The same as plain JSON, version 2."""
    return {
        "schema": 2,
        "site_file": target.site_file,
        "site_file_is_new": target.new,
        "plan": target.plan.to_json(),
        "tasks": [
            {"stage": stage, "task": task, "would": _would(state), "found": state.found, "to_do": state.to_do}
            for (stage, task), state in states.items()
        ],
        "findings": [finding.to_json() for finding in findings],
    }
