"""Findings in lines that fit a terminal."""

from __future__ import annotations

import re

_LABEL = re.compile(r"  [a-z]+: +")


def wrapped(text: str, width: int) -> str:
    """The text in lines of at most ``width`` columns, broken between words; a longer word, such as a path, stays whole.

    What continues a line of a :class:`~ouchi.core.errors.Finding` stands below its beginning.
    """
    from textwrap import wrap

    lines = []
    for line in text.split("\n"):
        label = _LABEL.match(line)
        indent = " " * (label.end() if label else 2)
        lines += wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
            replace_whitespace=False,
        ) or [""]  # fmt: skip
    return "\n".join(lines)
