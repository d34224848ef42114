"""Running the long commands with their progress on the terminal or as JSON lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console

from ouchi.core.events import Event, Kind, Timeline
from ouchi.core.instance import Instance
from ouchi.core.tasks import run_tasks
from ouchi.core.waiting import stop_waiting
from ouchi.flows.down import down
from ouchi.flows.up import Up
from ouchi.machine.command_log import move_to_file
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import only_one
from ouchi.plan.load import read_target
from ouchi.report.summary import summary_json, summary_text
from ouchi.report.terminal import Progress

LOCK = "/run/lock/ouchi.lock"


def _json_line(event: Event) -> None:
    click.echo(json.dumps(asdict(event)), err=True)


@contextlib.contextmanager
def timeline_of(*, as_json: bool) -> Iterator[Timeline]:
    """Progress on the terminal, or as JSON lines."""
    if as_json:
        yield _with_debug_log_aside(Timeline(_json_line))
    else:
        console = Console(stderr=False, highlight=False)
        with Progress(console) as progress:
            timeline = Timeline(progress, progress.paused)
            yield _with_debug_log_aside(timeline) if console.is_terminal else timeline


def _with_debug_log_aside(timeline: Timeline) -> Timeline:
    """Move the log of ``--debug`` out of the way of the progress, into a file that the progress names."""
    if path := move_to_file():
        timeline.emit(Kind.NOTE, "debug", "log", path)
    return timeline


def run_up(site_file: str, until: str, *, yes: bool, restart: bool, as_json: bool) -> int:
    """``up``: lock, the machine itself, tasks, summary. Returns the exit status."""
    machine, instance = LocalMachine(), Instance()
    # A file that cannot be used is refused before anything is changed, packages included.
    target = read_target(machine, machine.absolute(site_file))
    with only_one(LOCK, "up"), timeline_of(as_json=as_json) as timeline:
        if target.site.nics or target.site.cpus.isolate:
            from ouchi.cli.applying import applied_for_up

            if not applied_for_up(machine, target, until, timeline, yes=yes, restart=restart):
                return 1
            target = read_target(machine, machine.absolute(site_file))
        up = Up(machine, instance, target, timeline)
        up.begin()
        run_tasks(up.tasks(until), timeline, lambda: stop(machine))
    seconds = timeline.now()
    if as_json:
        timings = [
            {"stage": event.stage, "task": event.task, "kind": event.kind, "text": event.text,
             "begin": round(event.at - event.seconds, 3), "seconds": round(event.seconds, 3)}
            for event in timeline.events
            if event.kind in (Kind.CHANGED, Kind.NOTHING)
        ]  # fmt: skip
        click.echo(json.dumps(summary_json(up.context.target, up.verdict, timings, seconds), indent=2))
    elif up.verdict:
        click.echo(summary_text(up.context.target, up.verdict, seconds))
    else:
        click.echo(f"\nstopped after {until}, as asked ({seconds:.0f} s); go on with: ouchi up")
    return 0


def stop(machine: LocalMachine) -> None:
    """End what tasks wait for: programs, and what is to come up."""
    machine.interrupt()
    stop_waiting()


def run_down(*, purge: bool, as_json: bool) -> int:
    """``down``. Returns the exit status."""
    machine, instance = LocalMachine(), Instance()
    with only_one(LOCK, "down"), timeline_of(as_json=as_json) as timeline:
        anything = down(machine, instance, timeline, lambda: stop(machine), purge=purge)
    if not as_json:
        click.echo("the machine is as before" if anything else "nothing to do: ouchi is not up")
    return 0
