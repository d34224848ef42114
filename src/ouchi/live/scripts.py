"""The shell scripts that read a live host: one file per hop, joined into few runs, each a round trip to the host.

Their output has sections, each begun by a line ``@@ NAME``; files are shown as ``PATH:LINE`` for every line
(``grep -H``), so that thousands of small ones need one program. What only root may read is missing for others.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

PARTS = {
    "machine": ("cpus", "memory", "interrupts", "threads", "guests", "nics"),
    "samples": ("samples",),
    "switch": ("switch",),
}
"""The files that make up each script."""


@cache
def script(name: str) -> str:
    """Return a script: what all of them begin with, then its parts."""
    folder = resources.files("ouchi.live")
    return "".join((folder / f"{part}.sh").read_text(encoding="utf-8") for part in ("head", *PARTS[name])) + "exit 0\n"
