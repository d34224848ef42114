"""The project's vocabulary: nothing uses a term that ``docs/words.md`` lists under "Never"."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "words.md"

# Files of other projects, or data that must stay byte for byte.
NOT_OURS = (".sql", ".json", ".lock", ".in", ".svg", ".pcap", ".pcapng")

# They translate what earlier versions wrote, by its own names.
FORMER_FORMATS = ("measure/runs/schema1.py", "steps/journal_v1.py")
FORMER_FILES = re.compile(r"/var/lib/ouchi-host/cards\.json")

GAP = r"(?:\s|[#*/])+"
"""Between two words of a pattern: blanks, line ends and the marks of a comment that continues."""

IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
PYTHON_COMMENT = re.compile(r"(?:^[ \t]*#[^\n]*(?:\n|\Z))+|#[^\n]*", re.MULTILINE)
SHELL_NAME = re.compile(r"^\s*(?:local |export |readonly )?([A-Za-z_]\w*)(?:=|\(\))", re.MULTILINE)
C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
C_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Word:
    """A name or a text of a file, with the line on which it starts."""

    kind: str  # "names" or "text"
    line: int
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: a pattern, where it counts, and what to write instead."""

    pattern: re.Pattern[str]
    where: str
    instead: str


def read_rules(markdown: str) -> list[Rule]:
    """The rows of the table below the heading "Never"."""
    rows = markdown.partition("\n## Never\n")[2].splitlines()
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows if row.startswith("| `")]
    return [_rule(*(cell.strip().replace(r"\|", "|") for cell in row)) for row in cells]


def _rule(pattern: str, where: str, instead: str) -> Rule:
    assert where in {"names", "text", "all"}, f"{pattern}: {where}"
    return Rule(re.compile(pattern.strip("`").replace(" ", GAP), re.IGNORECASE), where, instead)


RULES = read_rules(LIST.read_text(encoding="utf-8"))


def findings(words: Sequence[Word]) -> Iterator[tuple[int, str, str]]:
    """Each use of a term that is not to be used: its line, what stands there, what to write instead."""
    for word in words:
        for offset, text, instead in uses(word.kind, word.value):
            yield word.line + offset, text, instead


@cache
def uses(kind: str, value: str) -> tuple[tuple[int, str, str], ...]:
    """The terms in one name or text, with the lines before them; most names and many texts occur often."""
    text = spelt_out(value) if kind == "names" else value
    return tuple(
        (text.count("\n", 0, match.start()), " ".join(match[0].split()), rule.instead)
        for rule in RULES
        if rule.where in {"all", kind}
        for match in rule.pattern.finditer(text)
    )


def spelt_out(name: str) -> str:
    """An identifier as separate words: ``card_steps`` and ``CardSteps`` are ``card Steps``, ``Card Steps``."""
    return CAMEL.sub(" ", name).replace("_", " ").replace("-", " ").strip()


def python_words(source: str) -> Iterator[Word]:
    """Names where they are bound, keys, strings without what f-strings insert, and comments."""
    for node in ast.walk(ast.parse(source)):
        yield from (Word("names", node.lineno, name) for name in _bound(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Word("text", node.lineno, node.value)
        elif isinstance(node, ast.Dict):
            keys = (key for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
            yield from (Word("names", key.lineno, key.value) for key in keys if key.value.isidentifier())
    yield from _comments(source)


def _bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield name
        case ast.alias(asname=str(name)):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
            yield name


def _comments(source: str) -> Iterator[Word]:
    """Comments; those on lines that follow each other as one text. A "#" in a string counts too: it is text as well."""
    for match in PYTHON_COMMENT.finditer(source):
        yield Word("text", _line(source, match), match[0])


def c_words(source: str) -> Iterator[Word]:
    """Comments and strings as text, all identifiers as names."""
    for pattern in (C_COMMENT, C_STRING):
        yield from (Word("text", _line(source, match), match[0]) for match in pattern.finditer(source))
        source = pattern.sub(lambda match: re.sub(r"\S", " ", match[0]), source)
    yield from (Word("names", _line(source, match), match[0]) for match in IDENTIFIER.finditer(source))


def shell_words(source: str) -> Iterator[Word]:
    """The whole as text; variables and functions as names."""
    yield Word("text", 1, source)
    yield from (Word("names", _line(source, match), match[1]) for match in SHELL_NAME.finditer(source))


def text_words(source: str) -> Iterator[Word]:
    yield Word("text", 1, source)


def _line(source: str, match: re.Match[str]) -> int:
    return source.count("\n", 0, match.start()) + 1


READERS: dict[str, Callable[[str], Iterator[Word]]] = {
    ".py": python_words,
    ".c": c_words,
    ".h": c_words,
    ".sh": shell_words,
    "": shell_words,
    ".js": c_words,
}


def words_of(path: Path) -> list[Word]:
    text = FORMER_FILES.sub("", path.read_text(encoding="utf-8"))
    return [Word("names", 1, path.stem), *READERS.get(path.suffix, text_words)(text)]


def files() -> Iterator[Path]:
    """Every text of the project that is its own, but for the list itself and this test, which quotes it."""
    for folder in ("benchmarks", "docs", "examples", "generator", "src", "tools", "tests"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file() and _ours(path))
    yield from (ROOT / name for name in ("CHANGELOG.md", "README.md", "README.ja.md", "ouchi", "run-tests"))


def _ours(path: Path) -> bool:
    inside = path.relative_to(ROOT)
    if path in {LIST, Path(__file__)} or inside.as_posix().endswith(FORMER_FORMATS):
        return False
    recorded = inside.parts[:2] in {("tests", "cases"), ("tests", "hosts")}
    return not recorded and path.suffix not in NOT_OURS and "__pycache__" not in inside.parts


def test_only_the_listed_terms_are_used() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}, write: {instead}"
        for path in sorted(files())
        for line, text, instead in sorted(findings(words_of(path)))
    ]
    assert not found, "\n".join(["terms that docs/words.md rules out:", *found])


@pytest.mark.parametrize(
    ("reader", "source", "expected"),
    [
        (python_words, "def card_steps(): ...", ["card"]),
        (python_words, "class CardSteps: ...", ["Card"]),
        (python_words, '"""Each polling\n    thread."""', ["polling thread"]),
        (python_words, "# a polling\n# thread", ["polling # thread"]),
        (python_words, 'f"the {x} is mended"', ["mended"]),
        (python_words, '{"doing": 1}', ["doing"]),
        (python_words, "wildcard = discard = file.tell()", []),
        (python_words, "place_guests = in_place = 1", []),
        (python_words, "'a graphics card'", []),
        (c_words, "/* the card */ int knock_arm;", ["card", "knock"]),
        (shell_words, "told=$(lspci)", ["told"]),
        (text_words, "systemctl restart libvirtd", []),
        (text_words, "restart the machine", ["restart the machine"]),
        (text_words, "the machine is restarted", ["machine is restarted"]),
        (text_words, "virtual functions (VFs)", []),
        (text_words, "four virtual functions", ["virtual functions"]),
    ],
)
def test_what_is_found(reader: Callable[[str], Iterator[Word]], source: str, expected: list[str]) -> None:
    assert [text for _, text, _ in findings(list(reader(source)))] == expected


def test_the_list_is_read() -> None:
    assert len(RULES) > 20
    assert {rule.where for rule in RULES} == {"names", "text", "all"}
