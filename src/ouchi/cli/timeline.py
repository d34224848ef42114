"""The progress of long commands, on the terminal or as JSON lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from ouchi.core.events import Event, EventKind, Timeline
from ouchi.machine.command_log import move_to_file
from ouchi.report.page import live_console
from ouchi.report.terminal import Progress


@contextlib.contextmanager
def timeline_of(*, as_json: bool) -> Iterator[Timeline]:
    """A timeline that shows its events on the terminal, or writes them to stderr as JSON lines."""
    if as_json:
        yield _move_debug_log(Timeline(_json_line))
    else:
        console = live_console()
        with Progress(console) as progress:
            timeline = Timeline(progress, progress.paused)
            yield _move_debug_log(timeline) if console.is_terminal else timeline


def _move_debug_log(timeline: Timeline) -> Timeline:
    """Move the log of ``--debug`` out of the way of the progress, into a file that an event names."""
    if path := move_to_file():
        timeline.emit(EventKind.NOTE, "debug", "log", path)
    return timeline


def _json_line(event: Event) -> None:
    click.echo(json.dumps(asdict(event)), err=True)
