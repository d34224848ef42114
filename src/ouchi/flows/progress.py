"""One step of a flow on the timeline: begun, done or failed, with its time."""

from __future__ import annotations

import time
from collections.abc import Callable

from ouchi.core.errors import Failed
from ouchi.core.events import EventKind, Timeline
from ouchi.machine import CommandFailed
from ouchi.steps import engine


def run_step(timeline: Timeline, stage: str, name: str, act: Callable[[], str], *, expected: str, remedy: str) -> None:
    """Run one step; ``act`` returns what it changed. ``expected`` and ``remedy`` are for a command that fails.

    Raises :class:`~ouchi.core.errors.Failed`.
    """
    begin = time.monotonic()
    timeline.emit(EventKind.STARTED, stage, name)
    try:
        text = act()
    except CommandFailed as failure:
        found = engine.failed(failure)
        timeline.emit(EventKind.FAILED, stage, name, found, time.monotonic() - begin)
        raise Failed.of(f"the step {name} failed", found=found, expected=expected, remedy=remedy) from None
    except Failed as failure:
        timeline.emit(EventKind.FAILED, stage, name, failure.findings[0].claim, time.monotonic() - begin)
        raise
    timeline.emit(EventKind.CHANGED, stage, name, text, time.monotonic() - begin)
