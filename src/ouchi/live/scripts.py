"""The shell scripts that read a live host: few, each reading much, because each may cost a round trip to it.

What they print are sections, each begun by a line ``@@ NAME``; files are shown as ``PATH:LINE`` for every line
(``grep -H``), so that thousands of small ones need one program. What only root may read is missing for others;
:mod:`ouchi.live.host` says so.
"""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def script(name: str) -> str:
    """The script ``NAME.sh`` beside this file, with what all of them begin with."""
    folder = resources.files("ouchi.live")
    return "".join((folder / f"{part}.sh").read_text(encoding="utf-8") for part in ("head", name))
