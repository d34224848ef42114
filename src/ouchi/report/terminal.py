"""Progress on a terminal: finished tasks stay, those under way are redrawn below; without a terminal, plain lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ouchi.core.events import Event, EventKind
from ouchi.machine.program import as_started

MARKS = {EventKind.CHANGED: ("✔", "green"), EventKind.NOTHING: ("·", "dim"), EventKind.FAILED: ("✘", "red")}


class Progress:
    """A sink for events. Use as a context; the colours and the redrawing are rich's to decide (``NO_COLOR`` is heeded)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: dict[tuple[str, str], tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._live = (
            Live(console=console, get_renderable=self._view, refresh_per_second=5, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Redraw nothing meanwhile."""
        if not self._live:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        key = (event.stage, event.task)
        with self._lock:
            match event.kind:
                case EventKind.STARTED:
                    self._running[key] = (time.monotonic(), "")
                case EventKind.PROGRESS:
                    if key in self._running:
                        self._running[key] = (self._running[key][0], event.text)
                    if not self._live:
                        self._line("…", "dim", event)
                case EventKind.NOTE:
                    self._console.print(
                        Text.from_ansi(text) if "\x1b" in (text := as_started(event.text)) else text,
                        markup=False,
                        highlight=False,
                        soft_wrap=not self._console.is_terminal,
                    )
                case _:
                    self._running.pop(key, None)
                    self._line(*MARKS[event.kind], event)

    def _line(self, mark: str, style: str, event: Event) -> None:
        took = f"{event.seconds:6.1f} s" if event.kind is not EventKind.PROGRESS else " " * 8
        line = _head(mark, style, event.stage, event.task, took)
        line.append(as_started(event.text), style="" if event.kind is EventKind.CHANGED else style)
        self._console.print(line, soft_wrap=not self._console.is_terminal)

    def _view(self) -> Group:
        now = time.monotonic()
        with self._lock:
            running = list(self._running.items())
        return Group(
            *(
                _head("▸", "yellow", stage, task, f"{now - begin:6.0f} s").append(text)
                for (stage, task), (begin, text) in running
            )
        )


def _head(mark: str, style: str, stage: str, task: str, took: str) -> Text:
    return Text.assemble((f"{mark} ", style), (f"{stage:<10}", "bold"), f"{task:<17}", (took, "cyan"), "  ")
