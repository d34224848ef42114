"""Output that documents quote is what the program prints: any two words in a row stand so in a string of the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])

# A block of output: its first line is the command, after "$ ".
FENCED = re.compile(r"^```[^\n]*\n(\$ [^\n]*\n.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}\$ [^\n]*\n)(?:^ {4}[^\n]*\n)+", re.MULTILINE)

WORDS = re.compile(r"(?<![\w/.-])[A-Za-z']+(?: [A-Za-z']+)*(?![\w/-])")
"""Words with single blanks between them; names with digits, dashes or dots are none."""

# Names that are inserted: of the site file that `up` writes, of stages, pools and services.
INSERTED = {"endpoint", "forwarder", "left", "right", "lab", "dataplane", "host", "ovsdb", "up"}

Pair = tuple[str, str]


def pairs(text: str) -> Iterator[Pair]:
    """Two words in a row, with neither punctuation nor a column's gap between them."""
    for run in WORDS.findall(text):
        yield from pairwise(run.lower().split(" "))


@cache
def known() -> frozenset[Pair]:
    """The pairs in all strings of the package; what an f-string inserts ends a run of words."""
    found: set[Pair] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(pairs(" ".join(node.value.split())))
    return frozenset(found)


def quoted(page: str) -> Iterator[str]:
    """The output in a page line by line, without the command. A line that continues far to the right joins the last."""
    for block in (*FENCED.findall(page), *(match[0] for match in INDENTED.finditer(page))):
        lines: list[str] = []
        for line in block.splitlines()[1:]:
            if lines and re.match(r" {20}", line):
                lines[-1] += f" {line.strip()}"
            else:
                lines.append(line.strip())
        yield from lines


def unknown(line: str) -> list[Pair]:
    """The pairs of a line that no string of the source has."""
    return [pair for pair in pairs(line) if pair not in known() and not INSERTED & set(pair)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_quotes(page: Path) -> None:
    found = [f"{line}: {pair}" for line in quoted(page.read_text(encoding="utf-8")) for pair in unknown(line)]
    assert not found, "\n".join(["no string of src has:", *found])


def test_what_counts_as_unknown() -> None:
    assert unknown("the moon is made of green cheese") != []
    assert unknown("label     overlapped: figures are not meaningful as performance") == []
