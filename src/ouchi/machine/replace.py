"""Becoming another program."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence


def replace_with(argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Turn this process into that program, with ``environment`` added; returns False when it is not there."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(argv[0], list(argv), {**os.environ, **environment})
    except FileNotFoundError:
        return False
