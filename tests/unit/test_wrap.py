"""Where lines break: between words on a terminal, nowhere in a pipe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import error
from ouchi.core.wrap import wrapped
from ouchi.report.page import FindingText, page

WORDS = st.lists(st.text("abc-/.", min_size=1, max_size=30), min_size=1, max_size=40)


@given(WORDS, st.integers(20, 120))
def test_a_finding_breaks_between_words_only(words: list[str], width: int) -> None:
    finding = error(" ".join(words), where="node 0", found=" ".join(reversed(words)), remedy="ouchi up")
    lines = wrapped(str(finding), width).split("\n")
    assert " ".join(lines).split() == str(finding).split()
    assert all(len(line) <= width or len(line.split()) <= 2 for line in lines)
    found = next(at for at, line in enumerate(lines) if line.startswith("  found:"))
    assert all(line.startswith(" " * 12) for line in lines[found + 1 : lines.index("  next:     ouchi up")])
    assert page(FindingText(finding), width=width, colour=False).splitlines() == lines


def test_what_is_piped_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert len(page("word " * 100).splitlines()) == 1
