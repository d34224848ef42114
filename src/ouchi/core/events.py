"""Progress events of long commands, and the timeline that collects them.

Sinks draw events on a terminal, write them as JSON lines, or drop them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """The kind of an event of a task."""

    STARTED = "started"
    PROGRESS = "progress"
    CHANGED = "changed"
    NOTHING = "nothing to do"
    FAILED = "failed"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a task of a stage.

    ``seconds`` is the duration of the task where it has ended, ``at`` the time of the event since the timeline began.
    """

    kind: EventKind
    stage: str
    task: str
    text: str = ""
    seconds: float = 0.0
    at: float = 0.0


Sink = Callable[[Event], None]

Notify = Callable[[str], None]
"""A task's callback for its progress: one short line at a time."""


def discard(_event: Event) -> None:
    """The sink that drops all events."""


class Timeline:
    """Collects events and passes them to a sink, one at a time and with the time since the timeline began."""

    def __init__(self, sink: Sink = discard, paused: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self.events: list[Event] = []
        self.paused = paused
        """While this context is entered, the sink leaves the terminal alone, so that the user can be asked something."""
        self._sink = sink
        self._begin = time.monotonic()
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since the timeline began."""
        return time.monotonic() - self._begin

    def emit(self, kind: EventKind, stage: str, task: str, text: str = "", seconds: float = 0.0) -> None:
        """Record one event and pass it on."""
        with self._lock:
            event = Event(kind, stage, task, text, seconds, self.now())
            self.events.append(event)
            self._sink(event)

    def notify(self, stage: str, task: str) -> Notify:
        """The progress callback for one task."""
        return lambda text: self.emit(EventKind.PROGRESS, stage, task, text)
