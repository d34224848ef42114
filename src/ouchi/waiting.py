"""Waiting with a bound and a name."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ouchi.errors import Failed, error

T = TypeVar("T")


class NotYet(Exception):
    """Raised by a probe that has nothing yet; its text is what was last seen."""


def wait_for(what: str, probe: Callable[[], T], *, seconds: float, every: float = 0.2, remedy: str = "") -> T:
    """Call ``probe`` until it returns, at most for ``seconds``.

    ``probe`` raises :class:`NotYet` (or :class:`OSError`) with what it last saw while there is nothing.
    Raises :class:`~ouchi.errors.Failed` that names ``what`` and what was last seen.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return probe()
        except (NotYet, OSError) as last:
            if time.monotonic() >= end:
                raise Failed(
                    error(f"waited {seconds:g} s for {what}", found=str(last) or "nothing", remedy=remedy)
                ) from None
        time.sleep(every)
