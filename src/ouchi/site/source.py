"""YAML text → plain data and the position of every value in it.

Built from the parser's events instead of its trees: nothing is expanded, and what a
site never needs (aliases, tags, several documents, depth) is refused as soon as it is met. ruamel's own loader with
positions (``rt``) stops at the first duplicate key and takes twice as long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from ouchi.core.errors import BadInput, Finding, error
from ouchi.site.text import clip, quoted

Path = tuple[str | int, ...]
Position = tuple[int, int]
Placed = tuple[Position, Finding]

LARGEST = 1024 * 1024  # bytes
LONGEST_LINE = 4096  # characters; the scanner's time grows with the square of some words
DEEPEST = 16  # a site is 7 deep
MOST_NODES = 20_000  # about a second of parsing

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffc\U00010000-\U0010ffff]")
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where a site came from: its file, where in it each value and key stands (from 1), keys that are there twice."""

    file: str = ""
    data: object = None
    positions: Mapping[Path, Position] = field(default_factory=dict)
    keys: Mapping[Path, Position] = field(default_factory=dict)
    twice: tuple[Placed, ...] = ()

    def __eq__(self, other: object) -> bool:
        """Always, among sources: where a site came from is no part of what it says."""
        return isinstance(other, Source)

    def __hash__(self) -> int:
        return 0

    def position(self, path: Path) -> Position:
        """Of the value at `path`, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.positions:
                return self.positions[path[:length]]
        return 1, 1

    def where(self, path: Path) -> str:
        """``FILE:LINE:COLUMN`` of `position`; the empty text when there is no file."""
        return self.at(self.position(path))

    def at(self, position: Position) -> str:
        """``FILE:LINE:COLUMN``; the empty text when there is no file."""
        return _at(self.file, position) if self.file else ""


def parse(text: bytes, file: str) -> Source:
    """The one document in `text`. Raises BadInput when it is not one plain YAML document."""
    decoded = _decode(text, file)
    yaml = YAML(typ="safe", pure=True)
    # Not yaml.parse(), which forgets where it was when the scanner gives up.
    _, parser = yaml.get_constructor_parser(decoded)
    document = _Document(parser, file)
    try:
        return document.read()
    except BadInput as reason:
        fatal = reason.findings
    except MarkedYAMLError as reason:
        fatal = (_syntax_error(reason, decoded, file),)
    except (ValueError, OverflowError):
        # The scanner does not check the range of escapes such as \UFFFFFFFF.
        position = yaml.reader.line + 1, yaml.reader.column + 1
        found = _line(decoded, position)
        claim, expected = "this is not valid YAML: an escape is out of range", "no escape above \\U0010FFFF"
        fatal = (error(claim, where=_at(file, position), found=found, expected=expected),)
    raise BadInput([*(finding for _, finding in document.twice), *fatal])


def scalar(text: str) -> bool | int | float | str | None:
    """A plain scalar by the rules of YAML 1.2 JSON: null, true, false, decimal numbers, else text."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Document:
    """Reads a document from the parser's events. A ``path`` of None is inside a value that a duplicate key threw away."""

    def __init__(self, parser: Any, file: str) -> None:
        self.twice: list[Placed] = []
        self._parser = parser
        self._file = file
        self._positions: dict[Path, Position] = {}
        self._keys: dict[Path, Position] = {}
        self._nodes = self._depth = 0

    def read(self) -> Source:
        """The only document. Raises BadInput, and the parser's errors."""
        data: object = None
        while self._parser.check_event():
            if self._parser.check_event(NodeEvent):
                data = self._value(())
            elif isinstance(event := self._parser.get_event(), DocumentStartEvent) and self._positions:
                self._refuse(event, "a second document starts here", found="---", expected="one document in the file")
        return Source(self._file, data, self._positions or {(): (1, 1)}, self._keys, tuple(self.twice))

    def _value(self, path: Path | None) -> object:
        event = self._next()
        if path is not None:
            self._positions[path] = _position(event)
        if isinstance(event, ScalarEvent):
            return scalar(event.value) if event.style in (None, "") else str(event.value)
        if self._depth == DEEPEST:
            self._refuse(
                event,
                f"the file is nested more than {DEEPEST} levels deep",
                found=f"level {DEEPEST + 1}",
                expected="at most 7 levels",
            )
        self._depth += 1
        value = self._mapping(path) if isinstance(event, MappingStartEvent) else self._list(path)
        self._depth -= 1
        self._parser.get_event()  # its end
        return value

    def _list(self, path: Path | None) -> list[object]:
        items: list[object] = []
        while not self._parser.check_event(CollectionEndEvent):
            items.append(self._value(None if path is None else (*path, len(items))))
        return items

    def _mapping(self, path: Path | None) -> dict[str, object]:
        items: dict[str, object] = {}
        while not self._parser.check_event(CollectionEndEvent):
            event = self._next()
            if not isinstance(event, ScalarEvent):
                found = "a mapping" if isinstance(event, MappingStartEvent) else "a list"
                self._refuse(event, f"{found} stands where a key must be", found=found, expected="a key: plain text")
            key = str(event.value)
            if key in items:
                self._note_twice(path, key, event)
                self._value(None)
                continue
            inside = None if path is None else (*path, key)
            if inside:
                self._keys[inside] = _position(event)
            items[key] = self._value(inside)
        return items

    def _note_twice(self, path: Path | None, key: str, event: Event) -> None:
        if path is None:
            return
        finding = error(
            f"the key {quoted(key)} is there twice",
            where=_at(self._file, _position(event)),
            found=f"first in line {self._keys[*path, key][0]}, again here",
            expected="every key once",
        )
        self.twice.append((_position(event), finding))

    def _next(self) -> NodeEvent:
        """The next node, which must be plain."""
        event: NodeEvent = self._parser.get_event()
        self._nodes += 1
        if self._nodes > MOST_NODES:
            self._refuse(
                event,
                "the file has too many keys and values",
                found="still more keys and values",
                expected=f"at most {MOST_NODES} of them",
            )
        if isinstance(event, AliasEvent) or event.anchor is not None:
            self._refuse(
                event,
                "anchors and aliases are not read",
                found=("*" if isinstance(event, AliasEvent) else "&") + clip(str(event.anchor)),
                expected="every value written out",
            )
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag not in (None, "!"):
            self._refuse(event, "tags are not read", found=clip(str(event.tag)), expected="values without a tag")
        return event

    def _refuse(self, event: Event, claim: str, *, found: str, expected: str) -> NoReturn:
        raise BadInput.of(claim, where=_at(self._file, _position(event)), found=found, expected=expected)


def _decode(text: bytes, file: str) -> str:
    if len(text) > LARGEST:
        raise BadInput.of(
            "the file is too large",
            where=_at(file, (1, 1)),
            found=f"more than {LARGEST} bytes",
            expected=f"at most {LARGEST} bytes (1 MiB)",
        )
    decoded = text.decode("utf-8", errors="replace").removeprefix("\ufeff")
    odd = _UNPRINTABLE.search(decoded)
    if odd is not None:
        code = ord(odd[0])
        raise BadInput.of(
            "this is not a text file",
            where=_at(file, _position_of(decoded, odd.start())),
            found="bytes that are not UTF-8" if code == 0xFFFD else f"the control character U+{code:04X}",
            expected="YAML in UTF-8",
        )
    _check_lines(decoded, file)
    return decoded


def _check_lines(text: str, file: str) -> None:
    for number, line in enumerate(_BREAK.split(text), 1):
        if len(line) > LONGEST_LINE:
            claim, column = "the line is too long", LONGEST_LINE + 1
            found, expected = f"{len(line)} characters", f"at most {LONGEST_LINE} characters"
        elif line.startswith("%"):
            claim, column = "directives are not read", 1
            found, expected = clip(line), "no line that starts with %"
        else:
            continue
        raise BadInput.of(claim, where=_at(file, (number, column)), found=found, expected=expected)


def _syntax_error(reason: MarkedYAMLError, text: str, file: str) -> Finding:
    mark = reason.problem_mark or reason.context_mark
    position = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    message = " ".join(part for part in (reason.context, reason.problem) if part)
    return error(
        f"this is not valid YAML: {clip(message, 160)}",
        where=_at(file, position),
        found=_line(text, position),
        expected="lines of `key: value` and `- item`, indented by spaces",
    )


def _line(text: str, position: Position) -> str:
    lines = _BREAK.split(text)
    number = position[0]
    line = lines[number - 1].strip() if number <= len(lines) else ""
    return clip(line) if line else "the end of the file" if number >= len(lines) else "an empty line"


def _position(event: Event) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _position_of(text: str, offset: int) -> Position:
    breaks = list(_BREAK.finditer(text, 0, offset))
    return len(breaks) + 1, offset - (breaks[-1].end() if breaks else 0) + 1


def _at(file: str, position: Position) -> str:
    return f"{file}:{position[0]}:{position[1]}"
