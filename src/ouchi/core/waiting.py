"""Waiting for a condition, with a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ouchi.core.errors import Failed, Interrupted

T = TypeVar("T")
_stopping = threading.Event()


class NotYet(Exception):
    """Raised by a probe whose condition does not hold yet; the text says what was seen instead."""


def stop_waiting() -> None:
    """End every wait of this process, now and later: the user interrupted it."""
    _stopping.set()


def wait_for(what: str, probe: Callable[[], T], *, seconds: float, every: float = 0.2, remedy: str = "") -> T:
    """Call ``probe`` every ``every`` seconds until it returns, at most for ``seconds``; return its result.

    While the condition does not hold ``probe`` raises :class:`NotYet` or :class:`OSError`.
    Raises :class:`~ouchi.core.errors.Failed` with ``what`` and what was last seen, and
    :class:`~ouchi.core.errors.Interrupted` after :func:`stop_waiting`.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return probe()
        except (NotYet, OSError) as last:
            if time.monotonic() >= end:
                raise Failed.of(
                    f"waited {seconds:g} s for {what}", found=str(last) or "nothing", remedy=remedy
                ) from None
        if _stopping.wait(every):
            raise Interrupted.of(f"interrupted while waiting for {what}")
