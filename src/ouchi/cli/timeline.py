"""The progress of long commands, on the terminal or as JSON lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console

from ouchi.core.events import Event, Timeline
from ouchi.report.terminal import Progress


@contextlib.contextmanager
def timeline_of(*, as_json: bool) -> Iterator[Timeline]:
    """A timeline that shows its events on the terminal, or writes them to stderr as JSON lines."""
    if as_json:
        yield Timeline(_json_line)
    else:
        with Progress(Console(stderr=False, highlight=False)) as progress:
            yield Timeline(progress, progress.paused)


def _json_line(event: Event) -> None:
    click.echo(json.dumps(asdict(event)), err=True)
