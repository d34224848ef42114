"""Waiting with a bound and a name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ouchi.core.errors import Failed, Interrupted, error

T = TypeVar("T")
_stopping = threading.Event()


class NotYet(Exception):
    """Raised by a probe that has nothing yet; its text is what was last seen."""


def stop_waiting() -> None:
    """End every wait of this process, now and later: the user wants to stop."""
    _stopping.set()


def wait_for(what: str, probe: Callable[[], T], *, seconds: float, every: float = 0.2, remedy: str = "") -> T:
    """Call ``probe`` until it returns, at most for ``seconds``.

    ``probe`` raises :class:`NotYet` (or :class:`OSError`) with what it last saw while there is nothing.
    Raises :class:`~ouchi.core.errors.Failed` that names ``what`` and what was last seen, and
    :class:`~ouchi.core.errors.Interrupted` after :func:`stop_waiting`.
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
        if _stopping.wait(every):
            raise Interrupted(error(f"interrupted while waiting for {what}"))
