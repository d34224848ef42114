"""Values of the file as shown in findings: short, on one line, without control characters."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection

_LONGEST = 60
_MOST_NAMES = 20


def clip(text: str, longest: int = _LONGEST) -> str:
    """`text` on one line, escaped where it is not printable, cut where it is long."""
    short = text if len(text) <= longest else text[:longest] + "…"
    return short if short.isprintable() else json.dumps(short)[1:-1]


def quoted(text: str) -> str:
    """`text` in quotes, as YAML and JSON write it."""
    short = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return json.dumps(short, ensure_ascii=not short.isprintable())


def shown(value: object) -> str:
    """A value of the file: text in quotes, lists and mappings by their size."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    return str(value)


def dotted(path: tuple[str | int, ...]) -> str:
    """A path as text: ``networks[0].vlan``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{clip(part)}" for part in path)
    return text.removeprefix(".") or "the file"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A remedy that names the likeliest of `known`; empty when none is near."""
    near = difflib.get_close_matches(word, known, n=1) if len(word) <= _LONGEST else []
    return f"did you mean {quoted(near[0])}?" if near else ""


def one_of(known: Collection[str]) -> str:
    """The choices as text: ``one of a, b``."""
    if not known:
        return "nothing: there is none"
    names = sorted(known)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ("one of " if len(names) > 1 else "") + ", ".join(clip(name) for name in names[:_MOST_NAMES]) + more
