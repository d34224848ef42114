"""Running ``apply`` and ``undo`` on hosts: show the changes of all, ask once, make them, print the results."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from ouchi.cli.hosted import print_host, print_json
from ouchi.cli.timeline import timeline_of
from ouchi.core.errors import BadInput
from ouchi.core.events import EventKind, Timeline
from ouchi.core.instance import Instance
from ouchi.flows.apply import Apply
from ouchi.flows.hosts import HostResult, exit_status, summary
from ouchi.flows.several_hosts import HostChange, Options, make_all, question, survey_all
from ouchi.flows.site_host import SiteHost
from ouchi.machine.local import LocalMachine
from ouchi.plan.target import Target

APPLY = "make these changes"
UNDO = "undo these changes"


def run_changes(changes: Sequence[HostChange], what: str, *, as_json: bool) -> int:
    """Survey all hosts, show them, ask ``what`` once, make the changes. Returns the exit status."""
    options, single = changes[0].options, len(changes) == 1
    with contextlib.ExitStack() as closing:
        for change in changes:
            closing.callback(change.close)
        results = survey_all(changes, LocalMachine())
        good = [change for change, result in zip(changes, results, strict=True) if not result.status]
        if not as_json:
            for change, result in zip(changes, results, strict=True):
                print_host(result, None if result.status else change.text(), single=single)
        made: dict[str, HostResult[Any]] = {}
        todo = [] if options.dry_run else [change for change in good if change.needed]
        if todo:
            reboots = sum(bool(change.reboot_reasons) for change in todo) if options.reboot else 0
            if not confirmed(question(what, len(todo), reboots, len(changes)), options):
                click.echo("nothing was changed", err=as_json)
                todo = []
        if todo:
            with timeline_of(as_json=as_json) as timeline:
                made = make_all(todo, timeline, single=single)
    results = [made.get(result.name, result) for result in results]
    if as_json:
        shown: dict[str, Any] = {change.host.name: change.to_json() for change in good}
        shown |= {name: result.result and result.result.json for name, result in made.items()}
        if single:
            shown = {name: {"schema": 1, **one} for name, one in shown.items()}
        print_json(results, shown, single=single)
    elif not single:
        for result in results:
            if result.findings and result.name in made and not result.result:  # others were shown as notes
                print_host(result, None, single=single)
        click.echo(summary(results))
    return exit_status(results)


def confirmed(what: str, options: Options) -> bool:
    """Ask the user. Raises :class:`~ouchi.core.errors.BadInput` where there is no terminal and no ``--yes``."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise BadInput.of(
            f"ouchi cannot ask whether to {what}",
            found="no terminal",
            expected="a terminal, or --yes",
            remedy="the same command with --yes",
        )
    return options.ask(f"{what[0].upper()}{what[1:]}?")


def apply_for_up(machine: LocalMachine, target: Target, timeline: Timeline, options: Options) -> int | None:
    """``apply`` as the first part of ``up``, without the distribution's Open vSwitch.

    Returns the exit status with which ``up`` ends: 0 when the user said no, 1 when the host must be rebooted first;
    None when it may continue.
    """
    host = SiteHost(target.site.name, "", machine.absolute(target.site_file), target.site, machine)
    change = Apply(host, Instance(), options, own_ovs=True)
    change.prepare(target)
    if not change.needed:
        return None
    timeline.emit(EventKind.NOTE, "host", "apply", change.text())
    with timeline.paused():
        if not confirmed(question(APPLY, 1, int(bool(change.reboot_reasons) and options.reboot), 1), options):
            click.echo("nothing was changed")
            return 0
    done = change.make(timeline, "host").json
    return 1 if done["rebooted"] or done["reboot_needed"] else None


def resumed(*words: str) -> tuple[str, ...]:
    """The command that runs ouchi with these words after a reboot of this machine."""
    return (sys.executable, "-I", "-m", "ouchi", *words)
