"""What ``apply`` and ``undo`` would change, as a difference, for people and for programs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from ouchi.flows.apply import Prepared
from ouchi.flows.undo import Undoing
from ouchi.host.step import Step
from ouchi.report.page import page
from ouchi.steps import Change, Record, State
from ouchi.steps.kinds import KINDS


def difference_text(prepared: Prepared, width: int | None = None, *, colour: bool | None = None) -> str:
    """Step by step what is there and what would be; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    lines: list[Text] = []
    if prepared.rescued:
        text = f"put back by itself on {prepared.rescued}: nobody had said that the machine was still reached"
        lines.append(Text(text, style="yellow"))
    for step, changes in prepared.to_do:
        when = " (after the restart)" if step.booted and not prepared.booted else ""
        lines.append(Text.assemble((f"{step.name}{when}", "bold"), f": {step.why}"))
        for change in changes:
            lines += _change(change.kind, change.key, prepared.now[change.kind, change.key], change.state)
    if prepared.gone:
        lines.append(Text("former plan: no longer wanted", style="bold"))
        for record in prepared.gone:
            lines += _change(record.kind, record.key, prepared.now[record.location], record.before)
    if prepared.why:
        lines.append(Text.assemble(("restart", "bold"), f": {'; '.join(prepared.why)}"))
    if not lines:
        lines = [Text("nothing to do: the machine is as planned")]
    return page(*lines, width=width, colour=colour)


def undo_text(undoing: Undoing, width: int | None = None, *, colour: bool | None = None) -> str:
    """What would be put back, newest first."""
    lines: list[Text] = []
    for record in undoing.ours:
        lines += _change(record.kind, record.key, undoing.now[record.location], record.before)
    for record in undoing.theirs:
        lines.append(Text(f"  {record.key}: changed by somebody else since; left so", style="yellow"))
    if undoing.why:
        lines.append(Text.assemble(("restart", "bold"), f": {'; '.join(undoing.why)}"))
    if not lines:
        lines = [Text("nothing to do: ouchi apply has changed nothing here")]
    return page(*lines, width=width, colour=colour)


def prepared_json(prepared: Prepared) -> dict[str, Any]:
    """The same as plain JSON."""
    return {
        "steps": [_step(prepared, step, changes) for step, changes in prepared.to_do],
        "former": [_record(record, prepared.now[record.location]) for record in prepared.gone],
        "restart": list(prepared.why),
        "rescued": prepared.rescued,
    }


def undoing_json(undoing: Undoing) -> dict[str, Any]:
    """The same as plain JSON."""
    return {
        "back": [_record(record, undoing.now[record.location]) for record in undoing.ours],
        "left": [_record(record, undoing.now[record.location]) for record in undoing.theirs],
        "restart": list(undoing.why),
    }


def _step(prepared: Prepared, step: Step, changes: tuple[Change, ...]) -> dict[str, Any]:
    return {
        "step": step.name,
        "why": step.why,
        "after_restart": step.booted and not prepared.booted,
        "changes": [
            _json(change.kind, change.key, prepared.now[change.kind, change.key], change.state) for change in changes
        ],
    }


def _record(record: Record, now: State) -> dict[str, Any]:
    return _json(record.kind, record.key, now, record.before)


def _json(kind: str, key: str, now: State, then: State) -> dict[str, Any]:
    return {"kind": kind, "key": key, "now": KINDS[kind].describe(key, now), "then": KINDS[kind].describe(key, then)}


def _change(kind: str, key: str, now: State, then: State) -> Iterator[Text]:
    """The key, then the lines that go and that come."""
    yield Text(f"  {key}")
    before, after = KINDS[kind].describe(key, now), KINDS[kind].describe(key, then)
    for line in difflib.ndiff(before, after):
        mark, rest = line[0], line[2:]
        if mark in "+-":
            yield Text(f"    {mark} {rest}", style="green" if mark == "+" else "red")
