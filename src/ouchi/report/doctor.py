"""A diagnosis as text: the results by subject, then each finding in full."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.table import Table
from rich.text import Text

from ouchi.checks.diagnosis import Diagnosis, FixEntry, Health
from ouchi.checks.model import CheckResult, Result
from ouchi.core.errors import Severity
from ouchi.report.page import COLOURS, FindingText, label_lines, page, plain_table

HEADS = {
    Health.FAILURES: ("failures", "red"),
    Health.INCOMPLETE: ("incomplete", "red"),
    Health.WARNINGS: ("warnings", "yellow"),
    Health.QUALIFIED: ("healthy with reservations", "green"),
    Health.HEALTHY: ("healthy", "green"),
}
MARKS = {Severity.ERROR: "✘", Severity.WARNING: "!", Severity.INFO: "i"}


def doctor_text(diagnosis: Diagnosis, width: int | None = None, *, colour: bool | None = None) -> str:
    """Return a diagnosis as text; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    labels = label_lines(diagnosis.labels)
    fixes = [_fix(one) for one in diagnosis.fixes]
    findings = [FindingText(problem.finding) for problem in diagnosis.problems]
    between = [Text("")] if findings else []
    return page(
        _headline(diagnosis), *labels, *fixes, "", _table(diagnosis), *between, *findings, width=width, colour=colour
    )


def _headline(diagnosis: Diagnosis) -> Text:
    counts = {
        "failure": diagnosis.count(Severity.ERROR),
        "warning": diagnosis.count(Severity.WARNING),
        "remark": diagnosis.count(Severity.INFO),
    }
    parts = [f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items() if count]
    held, not_evaluated = len(diagnosis.with_result(Result.OK)), len(diagnosis.with_result(Result.UNKNOWN))
    parts.append(f"{held} check{' holds' if held == 1 else 's hold'}")
    if not_evaluated:
        essential = f" ({len(diagnosis.unseen)} essential)" if diagnosis.unseen else ""
        parts.append(f"{not_evaluated} could not be evaluated{essential}")
    head, style = HEADS[diagnosis.health]
    return Text(f"{head}: {', '.join(parts)}", style=f"bold {style}")


def _table(diagnosis: Diagnosis) -> Table:
    """Return a table: for each subject first its findings, then unknown checks, then those that hold."""
    table = plain_table(header=False)
    table.add_column("subject", style="dim", no_wrap=True)
    table.add_column("mark", no_wrap=True)
    table.add_column("check", overflow="fold")
    table.add_column("found", overflow="fold", style="dim")
    for subject, group in groupby(diagnosis.checks, key=lambda check: check.subject):
        shown = subject
        for mark, style, text, found in _lines(list(group)):
            table.add_row(shown, Text(mark, style=style), Text(text), Text(found))
            shown = ""
        table.add_section()
    return table


def _lines(checks: list[CheckResult]) -> Iterator[tuple[str, str, str, str]]:
    """Yield mark, its colour, finding or check, and what was found."""
    for check in checks:
        for finding in check.findings:
            yield MARKS[finding.severity], COLOURS[finding.severity], finding.claim, finding.found
    # Many checks are unknown for one reason, such as the lack of root.
    reasons: dict[str, list[str]] = {}
    for check in checks:
        if check.result is Result.UNKNOWN:
            reasons.setdefault(check.found, []).append(check.title)
    for reason, titles in reasons.items():
        yield "?", "yellow", "; ".join(titles), reason
    for check in checks:
        if check.result is Result.OK:
            yield "✔", "green", check.title, check.found


def _fix(fix: FixEntry) -> Text:
    """Return a line for a fix and how long it lasts, one for each difference, and one for each that could not be made."""
    failed_changes = len(fix.failures)
    if not fix.made:
        head = "would fix"
    elif failed_changes:
        head = "not fixed" if failed_changes == len(fix.differences) else "fixed in part"
    else:
        head = "fixed" if fix.differences else "nothing to fix"
    text = Text(f"{head}: {fix.name} ({fix.lasts})", style="yellow" if failed_changes or not fix.made else "green")
    for one in fix.differences:
        now, target = (" | ".join(lines) or "nothing" for lines in (one.now, one.target))
        text.append(f"\n  {one.key}: {now} → {target}")
    for failure in fix.failures:
        text.append(f"\n  failed: {failure}", style="yellow")
    return text
