"""Becoming another program."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ouchi.core import log
from ouchi.core.log import LOCAL


def replace_with(argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Turn this process into that program, with ``environment`` added; returns False when it is not there."""
    log.write(LOCAL, "exec", argv, env=environment)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(argv[0], list(argv), {**os.environ, **environment})
    except FileNotFoundError:
        return False
