"""The changes of ``apply`` and ``undo`` as a difference."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from ouchi.report.documents import StepEntry
from ouchi.report.page import page
from ouchi.steps.engine import Difference


def steps_text(steps: Iterable[StepEntry], *, reboot: Sequence[str], notes: Sequence[str]) -> str:
    """Show step by step what there is and what there would be, and why a reboot is needed.

    ``notes`` are lines of warning at the top.
    """
    lines = [Text(note, style="yellow") for note in notes]
    for entry in steps:
        when = " (after the reboot)" if entry.after_reboot else ""
        if entry.step:
            lines.append(Text.assemble((f"{entry.step}{when}", "bold"), f": {entry.why}"))
        for one in entry.changes:
            lines += _lines(one)
    if reboot:
        lines.append(Text.assemble(("reboot", "bold"), f": {'; '.join(reboot)}"))
    return page(*lines)


def _lines(shown: Difference) -> Iterator[Text]:
    """The key, then the lines that go and that come."""
    yield Text(f"  {shown.key}")
    for line in difflib.ndiff(shown.now, shown.target):
        mark, rest = line[0], line[2:]
        if mark in "+-":
            yield Text(f"    {mark} {rest}", style="green" if mark == "+" else "red")
