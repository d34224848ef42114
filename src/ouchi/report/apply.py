"""The changes of ``apply`` and ``undo`` as a difference."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from ouchi.report.page import page
from ouchi.steps.engine import Difference


@dataclass(frozen=True, slots=True)
class Section:
    """A step with its differences; ``after_reboot``: it cannot be made before."""

    name: str
    why: str
    differences: tuple[Difference, ...]
    after_reboot: bool = False

    def to_json(self) -> dict[str, Any]:
        """The step as plain JSON."""
        changes = [one.to_json() for one in self.differences]
        return {"step": self.name, "why": self.why, "after_reboot": self.after_reboot, "changes": changes}


def sections_text(
    sections: Iterable[Section],
    *,
    reboot: Sequence[str],
    notes: Sequence[str] = (),
    width: int | None = None,
    colour: bool | None = None,
) -> str:
    """Show step by step what there is and what there would be, and why a reboot is needed.

    ``notes`` are lines of warning at the top; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`.
    """
    lines = [Text(note, style="yellow") for note in notes]
    for section in sections:
        when = " (after the reboot)" if section.after_reboot else ""
        if section.name:
            lines.append(Text.assemble((f"{section.name}{when}", "bold"), f": {section.why}"))
        for one in section.differences:
            lines += _lines(one)
    if reboot:
        lines.append(Text.assemble(("reboot", "bold"), f": {'; '.join(reboot)}"))
    return page(*lines, width=width, colour=colour)


def _lines(shown: Difference) -> Iterator[Text]:
    """The key, then the lines that go and that come."""
    yield Text(f"  {shown.key}")
    for line in difflib.ndiff(shown.now, shown.target):
        mark, rest = line[0], line[2:]
        if mark in "+-":
            yield Text(f"    {mark} {rest}", style="green" if mark == "+" else "red")
