"""Font metrics: the greatest width of a text in any of the fonts that a reader may have."""

from __future__ import annotations

import math
import unicodedata

# Widths in hundredths of an em of the letters from space to tilde in DejaVu Sans and its bold form: it is what many
# Linux desktops show, and wider than what others do for sans-serif (Segoe UI, San Francisco, Roboto, Helvetica).
_REGULAR = (
    "32 41 46 84 64 96 78 28 40 40 50 84 32 37 32 34 64 64 64 64 64 64 64 64 64 64 34 34 84 84 84 54 "
    "100 69 69 70 78 64 58 78 76 30 30 66 56 87 75 79 61 79 70 64 62 74 69 99 69 62 69 40 34 40 84 50 "
    "50 62 64 55 64 62 36 64 64 28 28 58 28 98 64 62 64 64 42 53 40 64 60 82 60 60 53 64 34 64 84"
)
_BOLD = (
    "35 46 53 84 70 101 88 31 46 46 53 84 38 42 38 37 70 70 70 70 70 70 70 70 70 70 40 40 84 84 84 59 "
    "100 78 77 74 84 69 69 83 84 38 38 78 64 100 84 86 74 86 78 73 69 82 78 111 78 73 73 46 37 46 84 50 "
    "50 68 72 60 72 68 44 72 72 35 35 67 35 105 72 69 72 72 50 60 48 72 66 93 65 66 59 72 37 72 84"
)
_OTHERS = {"·": 38, "×": 84, "→": 84, "…": 100}
_TABLES = tuple(
    {chr(code): int(width) for code, width in enumerate(table.split(), 32)} | _OTHERS for table in (_REGULAR, _BOLD)
)


def width_at_most(text: str, size: int, *, bold: bool) -> int:
    """The width in px of a text of this size in px, rounded up."""
    table = _TABLES[bold]
    return math.ceil(sum(table[letter] if letter in table else _other(letter) for letter in text) * size / 100)


def _other(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 110  # no letter of the world's scripts is much wider than it is high
