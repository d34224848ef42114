"""Replacing this process by another program."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ouchi.core import log
from ouchi.core.log import LOCAL


def replace_with(argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """execve(2) with ``environment`` added; returns False when there is no such program."""
    log.write(LOCAL, "exec", argv, env=environment)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(argv[0], list(argv), {**os.environ, **environment})
    except FileNotFoundError:
        return False
