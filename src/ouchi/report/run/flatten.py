"""Nested values as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MAX_LINES = 400


def flatten(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(``key.key``, text) for each value; lists of plain values in one row. At most :data:`MAX_LINES`."""
    lines = list(_lines("", values))
    left = len(lines) - MAX_LINES
    return lines if left <= 0 else [*lines[:MAX_LINES], ("…", f"{left:,} more")]


def _lines(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _lines(f"{key}.{name}" if key else str(name), item)
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for index, item in enumerate(value, 1):
            yield from _lines(f"{key}.{index}", item)
    else:
        yield key, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "–"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"
