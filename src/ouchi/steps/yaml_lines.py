"""The lines of one entry of a YAML text, so that it can be replaced and every other line stays as it is.

A parser's own output moves or drops comments: those after an entry belong to it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode


@dataclass(frozen=True, slots=True)
class YamlLines:
    """An entry from its ``first`` line up to its ``last``, indented by ``column`` letters."""

    text: str
    first: int
    last: int
    column: int

    def replaced(self, entries: Mapping[str, Any]) -> str:
        """The text with these entries in place of the one."""
        lines = self.text.split("\n")
        ours = [" " * self.column + line for line in dump(entries).splitlines()] if entries else []
        return "\n".join((*lines[: self.first], *ours, *lines[self.last + 1 :]))


def yaml_lines(text: str, members: Sequence[str]) -> YamlLines | None:
    """Find the lines of an entry; None where it shares one with others (``{a: 1, b: 2}``) or is not there."""
    node: Node | None = round_trip().compose(text)
    key: Node | None = None
    for member in members:
        if not isinstance(node, MappingNode) or node.flow_style:
            return None
        key, node = next(((key, value) for key, value in node.value if key.value == member), (None, None))
    if key is None or node is None:
        return None
    return YamlLines(text, key.start_mark.line, max(key.end_mark.line, _last(node)), key.start_mark.column)


def round_trip() -> YAML:
    """A parser and writer that keeps quotes and breaks no line."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    return yaml


def dump(document: Any) -> str:
    """A document as YAML."""
    stream = io.StringIO()
    round_trip().dump(document, stream)
    return stream.getvalue()


def _last(node: Node) -> int:
    """The last line of a value, without comments after it."""
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.line) - 1
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style:
        inner = [part for one in node.value for part in (one if isinstance(one, tuple) else (one,))]
        return max([int(node.start_mark.line), *map(_last, inner)])
    return int(node.end_mark.line)
