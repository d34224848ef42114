"""Texts of other users, hosts and files on their way to a terminal, which would obey their control characters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO

_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
"""All but line feed and tabulator; and the marks that turn the direction of writing."""
_ALL = re.compile(_CONTROL)
_ALL_BUT_STYLES = re.compile(rf"(\x1b\[[0-9;]*m)|{_CONTROL}")


def printable(text: str, *, styles: bool = False) -> str:
    """The text with a dot in place of each control character; with ``styles`` colours and weights stay (ECMA-48, SGR)."""
    if text.isprintable():
        return text
    return _ALL_BUT_STYLES.sub(lambda found: found[1] or "·", text) if styles else _ALL.sub("·", text)


class PrintableStream:
    """A text stream that whatever it is given leaves printable; on a terminal the styles of ouchi's own texts stay.

    Everything but :meth:`write` and :meth:`writelines` is the stream's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self.whole = stream
        """The stream itself, for what moves the cursor."""
        self._styles = stream.isatty()

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        self.whole.write(printable(text, styles=self._styles))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)
