"""Commands that documents and messages quote exist, and have the options that stand there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ouchi.cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

# Code in Markdown: blocks between fences, indented lines, and spans between backticks.
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?: {4}|\t).*$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")

CALL = re.compile(r"(?:^|[\s(])(?:\./)?ouchi\s+([a-z][a-z-]*)((?:\s+(?!and\b|or\b|then\b)[^\s|;&#`]+)*)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[a-z])\b")

# What these run takes options of its own, or they come after "--".
PASSED_ON = {"openstack"}
# Words that follow "ouchi" in quoted output.
NO_COMMAND = {"and", "is"}


def command(name: str) -> click.Command | None:
    group = ouchi.cli._commands
    return group.get_command(click.Context(group), name)


def quoted(markdown: str) -> Iterator[str]:
    """The code in a page, each piece on one line; a line of a block is a piece."""
    for block in FENCE.findall(markdown):
        yield from (line.partition("# ")[0] for line in block.splitlines())
    rest = FENCE.sub("", markdown)
    yield from INDENTED.findall(rest)
    yield from (" ".join(span.split()) for span in SPAN.findall(INDENTED.sub("", rest)))


def problems(text: str, *, strict: bool) -> Iterator[str]:
    """What is wrong with the calls in a text. Not ``strict``: "ouchi" before another word is no call."""
    for name, arguments in CALL.findall(text):
        found = command(name)
        if found is None:
            if strict and name not in NO_COMMAND:
                yield f"{text.strip()!r}: there is no command {name}"
            continue
        if name in PASSED_ON:
            continue
        words = arguments.partition(" -- ")[0].split()
        while words and isinstance(found, click.Group) and (inner := found.commands.get(words[0])):
            found = inner
            words = words[1:]
        known = {"-h", "--help"}.union(*(parameter.opts + parameter.secondary_opts for parameter in found.params))
        for option in OPTION.findall(" ".join(words)):
            if option not in known:
                yield f"{text.strip()!r}: {name} has no option {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documents(page: Path) -> None:
    found = [problem for code in quoted(page.read_text(encoding="utf-8")) for problem in problems(code, strict=True)]
    assert not found, "\n".join(found)


def test_the_first_hour_has_the_same_commands_in_both_languages() -> None:
    english, japanese = (
        [
            line.partition("# ")[0].rstrip()
            for block in FENCE.findall((ROOT / "docs" / name).read_text())
            for line in block.splitlines()
        ]
        for name in ("first-hour.md", "first-hour.ja.md")
    )
    assert english == japanese
    assert any("ouchi up" in line for line in english)


def test_messages() -> None:
    """Strings and docstrings of the package; in an f-string, what is inserted ends the call."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {problem}"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for problem in problems(node.value, strict=False)
    ]
    assert not found, "\n".join(found)


def test_the_reference_has_every_command_and_option() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ouchi ([a-z-]+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    group = ouchi.cli._commands
    missing = [name for name in group.list_commands(click.Context(group)) if name not in sections]
    for name, section in sections.items():
        found = command(name)
        assert found is not None, f"docs/commands.md: there is no command {name}"
        shown = set(OPTION.findall(" ".join(SPAN.findall(section))))
        missing += [f"{name} {options[-1]}" for options in _options(found) if not shown & set(options)]
    assert missing == [], "docs/commands.md does not have them"


def _options(found: click.Command) -> Iterator[list[str]]:
    if isinstance(found, click.Group):
        for inner in found.commands.values():
            yield from _options(inner)
    yield from (
        parameter.opts
        for parameter in found.params
        if isinstance(parameter, click.Option) and not parameter.hidden and parameter.name != "help"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./ouchi plan --snapshot host.tar.gz", 0),
        ("ouchi plan --snapshots", 1),
        ("ouchi nothing", 1),
        ("ouchi openstack server delete --wait NAME", 0),
        ("ouchi bench compare BEFORE AFTER --json | jq --arg a", 0),
        ("ouchi rig ssh -- ls --color", 0),
        ("ouchi doctor --fix (until the next reboot)", 0),
    ],
)
def test_what_counts_as_wrong(text: str, expected: int) -> None:
    assert len(list(problems(text, strict=True))) == expected
