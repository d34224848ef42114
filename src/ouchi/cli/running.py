"""Running the long commands with their progress on the terminal or as JSON lines."""

from __future__ import annotations

import json

import click

from ouchi.cli.changes import apply_for_up, resumed
from ouchi.cli.output import echo
from ouchi.cli.timeline import timeline_of
from ouchi.core.events import EventKind
from ouchi.core.instance import LOCK, Instance
from ouchi.core.tasks import run_tasks
from ouchi.core.waiting import stop_waiting
from ouchi.flows.down import down
from ouchi.flows.several_hosts import Options
from ouchi.flows.up import Up
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import exclusive_lock
from ouchi.plan.load import read_target
from ouchi.report.summary import summary_json, summary_text


def run_up(site_file: str, until: str, *, yes: bool, restart: bool, as_json: bool) -> int:
    """``up``: lock, the machine itself, tasks, summary. Returns the exit status."""
    machine, instance = LocalMachine(), Instance()
    # A file that cannot be used is refused before anything is changed, packages included.
    target = read_target(machine, machine.absolute(site_file))
    with exclusive_lock(LOCK, "up"), timeline_of(as_json=as_json) as timeline:
        if target.site.nics or target.site.cpus.isolate:
            resume = resumed("up", "--yes", "--until", until, "--site", machine.absolute(site_file))
            options = Options(dry_run=False, yes=yes, reboot=restart, resume=resume, ask=click.confirm)
            if (status := apply_for_up(machine, target, timeline, options)) is not None:
                return status
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
            if event.kind in (EventKind.CHANGED, EventKind.NOTHING)
        ]  # fmt: skip
        click.echo(json.dumps(summary_json(up.context.target, up.verdict, timings, seconds), indent=2))
    elif up.verdict:
        echo(summary_text(up.context.target, up.verdict, seconds))
    else:
        echo(f"\nstopped after stage {until} ({seconds:.0f} s); to continue: ouchi up")
    return 0


def stop(machine: LocalMachine) -> None:
    """Interrupt what tasks wait for: programs, and conditions that are polled."""
    machine.interrupt()
    stop_waiting()


def run_down(*, purge: bool, as_json: bool) -> int:
    """``down``. Returns the exit status."""
    machine, instance = LocalMachine(), Instance()
    with exclusive_lock(LOCK, "down"), timeline_of(as_json=as_json) as timeline:
        anything = down(machine, instance, timeline, lambda: stop(machine), purge=purge)
    if not as_json:
        click.echo("the machine is as before" if anything else "nothing to do: ouchi is not up")
    return 0
