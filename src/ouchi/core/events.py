"""What is happening, as it happens: progress events and where they go.

A long command emits events; sinks draw them on a terminal, write them as JSON lines, or drop them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an event says about its task."""

    STARTED = "started"
    PROGRESS = "progress"
    CHANGED = "changed"
    NOTHING = "nothing to do"
    FAILED = "failed"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: in which stage and task, what, and how long the task took (seconds)."""

    kind: Kind
    stage: str
    task: str
    text: str = ""
    seconds: float = 0.0
    at: float = 0.0


Sink = Callable[[Event], None]
Say = Callable[[str], None]
"""How a task tells its progress: one short line at a time."""


def silent(_event: Event) -> None:
    """The sink that keeps nothing."""


class Timeline:
    """Collects events, stamps them (seconds since it was made) and hands them to a sink, one at a time."""

    def __init__(self, sink: Sink = silent, paused: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.events: list[Event] = []
        self.paused = paused
        """While this is entered the sink leaves the terminal alone: somebody is asked something there."""
        self._sink = sink
        self._begin = time.monotonic()
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the timeline began."""
        return time.monotonic() - self._begin

    def emit(self, kind: Kind, stage: str, task: str, text: str = "", seconds: float = 0.0) -> None:
        """Record one event and pass it on."""
        with self._lock:
            event = Event(kind, stage, task, text, seconds, self.now())
            self.events.append(event)
            self._sink(event)

    def say(self, stage: str, task: str) -> Say:
        """A progress function for one task."""
        return lambda text: self.emit(Kind.PROGRESS, stage, task, text)
