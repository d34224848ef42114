"""Scripts that run on a remote host: POSIX sh with coreutils, findutils and grep. Nothing is installed there."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def script(name: str) -> str:
    """The text of one of the scripts beside this file."""
    return (resources.files(__name__) / f"{name}.sh").read_text(encoding="utf-8")
