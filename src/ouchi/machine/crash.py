"""Saving the traceback of a bug."""

from __future__ import annotations

import os
import tempfile


def save_traceback(text: str) -> str:
    """Write it to a new file in the temporary folder that only its owner can read; its path. Raises :class:`OSError`."""
    handle, path = tempfile.mkstemp(prefix="ouchi-bug-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return path
