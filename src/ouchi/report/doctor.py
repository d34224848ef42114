"""A diagnosis for people: what holds and what does not by subject, then each finding in full."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from ouchi.checks.values import Checked, Diagnosis, Mended, State
from ouchi.core.errors import Severity
from ouchi.report.page import COLOURS, finding_text, page

MARKS = {Severity.ERROR: "✘", Severity.WARNING: "!", Severity.INFO: "i"}


def doctor_text(diagnosis: Diagnosis, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole of it; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    labels = [Text(f"label: {label}", style="yellow") for label in diagnosis.labels]
    mended = [_mended(one) for one in diagnosis.mended]
    findings = [finding_text(trouble.finding) for trouble in diagnosis.troubles]
    between = [Text("")] if findings else []
    return page(
        _headline(diagnosis), *labels, *mended, "", _table(diagnosis), *between, *findings, width=width, colour=colour
    )


def _headline(diagnosis: Diagnosis) -> Text:
    counts = {
        "failure": diagnosis.count(Severity.ERROR),
        "warning": diagnosis.count(Severity.WARNING),
        "remark": diagnosis.count(Severity.INFO),
    }
    said = [f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items() if count]
    held, open_checks = len(diagnosis.in_state(State.OK)), len(diagnosis.in_state(State.UNKNOWN))
    said.append(f"{held} check{' holds' if held == 1 else 's hold'}")
    if open_checks:
        said.append(f"{open_checks} could not be asked")
    verdict, style = {0: ("healthy", "green"), 4: ("warnings", "yellow"), 1: ("failures", "red")}[diagnosis.status]
    return Text(f"{verdict}: {', '.join(said)}", style=f"bold {style}")


def _table(diagnosis: Diagnosis) -> Table:
    """Each subject with what is wrong first, then what is not known, then what holds, with what was found."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    table.add_column("subject", style="dim", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    table.add_column("check", overflow="fold")
    table.add_column("found", overflow="fold", style="dim")
    for subject, group in groupby(diagnosis.checks, key=lambda check: check.subject):
        shown = subject
        for mark, style, said, found in _lines(list(group)):
            table.add_row(shown, Text(mark, style=style), Text(said), Text(found))
            shown = ""
        table.add_section()
    return table


def _lines(checks: list[Checked]) -> Iterator[tuple[str, str, str, str]]:
    """Mark, its colour, what is said, what was found."""
    for check in checks:
        for trouble in check.answer.troubles:
            finding = trouble.finding
            yield MARKS[finding.severity], COLOURS[finding.severity], finding.claim, finding.found
    # Many things are not known for one reason, such as who asks.
    reasons: dict[str, list[str]] = {}
    for check in checks:
        if check.answer.state is State.UNKNOWN:
            reasons.setdefault(check.answer.found, []).append(check.name)
    for reason, names in reasons.items():
        yield "?", "yellow", "; ".join(names), reason
    for check in checks:
        if check.answer.state is State.OK:
            yield "✔", "green", check.name, check.answer.found


def _mended(mended: Mended) -> Text:
    """One line for what was done, one for each thing that could not be."""
    head = f"mended: {mended.name}" if not mended.failed else f"mended in part: {mended.name}"
    if not mended.done and mended.failed:
        head = f"not mended: {mended.name}"
    elif not mended.done:
        head = f"already so: {mended.name}"
    text = Text(head, style="green" if not mended.failed else "yellow")
    for failure in mended.failed:
        text.append(f"\n  {failure}")
    return text
