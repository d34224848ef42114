"""Running ``apply`` and ``undo``: showing, asking, restarting, going on."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from ouchi import undo
from ouchi.apply import reboot, run
from ouchi.cli.running import LOCK, timeline_of
from ouchi.errors import BadInput, error
from ouchi.events import Timeline
from ouchi.facts import collect
from ouchi.instance import Instance
from ouchi.machine import Machine
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import only_one
from ouchi.report.apply import difference_text, prepared_json, undo_text, undoing_json
from ouchi.wanted import Wanted, read_wanted, session_address


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the user wants it done. ``go_on``: what a machine is to run after its restart."""

    dry_run: bool
    yes: bool
    restart: bool
    go_on: tuple[str, ...] = ()
    command: str = "apply"


@dataclass(frozen=True, slots=True)
class Applied:
    """What was to be done, as JSON; why a restart is needed to finish it; whether the machine is being restarted."""

    result: dict[str, Any]
    why: tuple[str, ...]
    restarting: bool


def run_apply(site_file: str, *, dry_run: bool, yes: bool, restart: bool, as_json: bool) -> int:
    """``apply`` on this machine. Returns the exit status."""
    machine, instance = LocalMachine(), Instance()
    path = machine.absolute(site_file)
    again = (sys.executable, "-I", "-m", "ouchi", "apply", "--yes", "--site", path)
    wishes = Wishes(dry_run, yes, restart, again)
    with only_one(LOCK, "apply"), timeline_of(as_json=as_json) as timeline:
        applied = apply_one(machine, read_wanted(machine, path), instance, timeline, wishes, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"schema": 1, **applied.result}, indent=2))
    return 0


def apply_one(
    machine: Machine,
    wanted: Wanted,
    instance: Instance,
    timeline: Timeline,
    wishes: Wishes,
    *,
    as_json: bool,
    own_switch: bool = False,
) -> Applied:
    """Bring one machine to its plan, as far as it can be without a restart, and restart it where that may be.

    Raises :class:`~ouchi.errors.OuchiError`; nothing is half-done that the next call would not finish.
    """
    prepared = run.prepare(machine, wanted, instance.host, own_switch=own_switch)
    result = prepared_json(prepared)
    if not as_json:
        click.echo(difference_text(prepared))
    if wishes.dry_run or not prepared.anything:
        if not wishes.dry_run:
            run.carry_out(prepared, timeline, lambda: wanted.facts, None)
        return Applied(result, (), restarting=False)
    what = "make these changes" + (" and restart the machine" if prepared.why and wishes.restart else "")
    _consent(what, wishes)
    ask = None if wishes.yes else click.confirm
    why = run.carry_out(prepared, timeline, lambda: collect(machine, session_address()), ask)
    if why:
        _restart(machine, instance, prepared, why, wishes)
    return Applied(result, tuple(why), restarting=bool(why) and wishes.restart)


def applied_for_up(
    machine: LocalMachine,
    wanted: Wanted,
    instance: Instance,
    timeline: Timeline,
    *,
    yes: bool,
    restart: bool,
    as_json: bool,
) -> bool:
    """``up``'s part of it: the same without the distribution's Open vSwitch. False: the machine must be restarted first."""
    path = machine.absolute(wanted.site_file)
    go_on = (sys.executable, "-I", "-m", "ouchi", "up", "--yes", "--site", path)
    wishes = Wishes(dry_run=False, yes=yes, restart=restart, go_on=go_on, command="up")
    return not apply_one(machine, wanted, instance, timeline, wishes, as_json=as_json, own_switch=True).why


def _restart(machine: Machine, instance: Instance, prepared: run.Prepared, why: Sequence[str], wishes: Wishes) -> None:
    click.echo(f"a restart is needed: {'; '.join(why)}", err=True)
    if not wishes.restart:
        click.echo(f"restart the machine, then go on with: ouchi {wishes.command}", err=True)
        return
    reboot.restart(machine, prepared.journal, instance.host, prepared.around, prepared.host.facts, wishes.go_on)
    click.echo("restarting; ouchi goes on by itself afterwards: journalctl -u ouchi-continue", err=True)


def run_undo(*, dry_run: bool, yes: bool, restart: bool, as_json: bool) -> int:
    """``undo`` on this machine. Returns the exit status: 1 when something was left as somebody else made it."""
    machine, instance = LocalMachine(), Instance()
    wishes = Wishes(dry_run, yes, restart)
    with only_one(LOCK, "undo"), timeline_of(as_json=as_json) as timeline:
        result, left = undo_one(machine, instance, timeline, wishes, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"schema": 1, **result}, indent=2))
    return 1 if left else 0


def undo_one(
    machine: Machine, instance: Instance, timeline: Timeline, wishes: Wishes, *, as_json: bool
) -> tuple[dict[str, Any], bool]:
    """Put one machine back; what was to be put back as JSON, and whether something was left."""
    from ouchi.cli import show

    undoing = undo.prepare(machine, instance)
    result = undoing_json(undoing)
    if not as_json:
        click.echo(undo_text(undoing))
    if wishes.dry_run or not undoing.anything:
        return result, bool(undoing.theirs)
    what = "put this back" + (" and restart the machine" if undoing.why and wishes.restart else "")
    _consent(what, wishes)
    why, findings = undo.carry_out(undoing, timeline)
    show(*findings)
    result["findings"] = [finding.to_json() for finding in findings]
    if why and wishes.restart:
        click.echo("restarting", err=True)
        machine.run(("systemctl", "--no-block", "reboot"), outlive=True)
    elif why:
        click.echo(f"restart the machine to be rid of the rest: {'; '.join(why)}", err=True)
    return result, bool(findings)


def _consent(what: str, wishes: Wishes) -> None:
    """Raises :class:`~ouchi.errors.BadInput` without it."""
    if wishes.yes:
        return
    if not sys.stdin.isatty():
        raise BadInput(
            error(
                f"nobody can be asked whether to {what}",
                found="no terminal",
                expected="a terminal, or --yes",
                remedy="the same command with --yes",
            )
        )
    if not click.confirm(f"{what[0].upper()}{what[1:]}?"):
        raise BadInput(error("nothing was changed", found="your answer", remedy="the same command, when you want it"))
