"""What ``ouchi rig`` does."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from typing import Any

import click

from ouchi.cli.running import stop, timeline_of
from ouchi.errors import Unhealthy, error
from ouchi.events import Say
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import only_one
from ouchi.machine.replace import replace_with
from ouchi.rig import practise, states
from ouchi.rig.base import prepare
from ouchi.rig.keeper import COLD, LOAD, NEW, Kept
from ouchi.rig.login import ALIAS
from ouchi.rig.places import Places, places
from ouchi.runner import Task, run_tasks
from ouchi.steps import Outcome, changed, nothing

SSH = "/usr/bin/ssh"


def run_up(how: str | None, *, as_json: bool) -> None:
    """``up``: what is made once, then the rig itself."""
    machine, where = LocalMachine(), places(os.environ)

    def parts(say: Say) -> Outcome:
        made = False

        def heard(text: str) -> None:
            nonlocal made
            made = True
            say(text)

        prepare(machine, where.cache, heard)
        return changed("made") if made else nothing("all is there")

    def start(say: Say) -> Outcome:
        if practise.is_kept(where) and not how:
            practise.await_up(machine, where, say)
            return nothing("it is up")
        begin = time.monotonic()
        wanted = {"new": NEW, "cold": COLD}.get(how or "") or practise.go_on(machine, where)
        practise.start(machine, where, wanted, say)
        return changed(f"up after {time.monotonic() - begin:.1f} s")

    _run(machine, where, "up", [Task("rig", "parts", parts), Task("rig", "start", start, ("parts",))], as_json=as_json)
    _show(practise.require_up(machine, where), where, as_json=as_json)


def run_ssh(user: str, words: tuple[str, ...]) -> None:
    """``ssh``: become ssh."""
    machine, where = LocalMachine(), places(os.environ)
    practise.require_up(machine, where)
    if not replace_with((SSH, "-F", str(where.ssh_config), f"{user}@{ALIAS}", *words), {}):
        raise Unhealthy(error("there is no ssh here", where=SSH, remedy="apt-get install openssh-client"))


def save_state(name: str, *, as_json: bool) -> None:
    """``snapshot NAME``."""
    machine, where = LocalMachine(), places(os.environ)
    begin = time.monotonic()
    practise.save(machine, where, name)
    seconds = time.monotonic() - begin
    click.echo(json.dumps({"saved": name, "seconds": seconds}) if as_json else f"saved {name} ({seconds:.1f} s)")


def load_state(name: str, *, as_json: bool) -> None:
    """``snapshot --load NAME``."""
    machine, where = LocalMachine(), places(os.environ)
    states.require_state(practise.saved(machine, where), name)

    def load(say: Say) -> Outcome:
        practise.start(machine, where, LOAD + name, say)
        return changed(f"{name} loaded")

    _run(machine, where, "snapshot", [Task("rig", "start", load)], as_json=as_json)
    _show(practise.require_up(machine, where), where, as_json=as_json)


def list_states(*, as_json: bool) -> None:
    """``snapshot --list``."""
    found = practise.saved(LocalMachine(), places(os.environ))
    if as_json:
        members = [{"name": one.name, "saved": one.saved, "bytes": one.size} for one in found]
        click.echo(json.dumps(members, indent=2))
        return
    for one in found:
        when = datetime.fromtimestamp(one.saved).astimezone()
        click.echo(f"{one.name:<20}{when:%Y-%m-%d %H:%M:%S}{one.size / 1e6:>8.0f} MB")
    if not found:
        click.echo("nothing has been saved; the rig was never started")


def run_down(*, purge: bool) -> None:
    """``down``."""
    machine, where = LocalMachine(), places(os.environ)
    with only_one(_lock(where), "rig down"):
        if purge:
            practise.end(where)
            known = machine.exists(where.folder) or machine.exists(where.cache)
            machine.remove(where.folder)
            machine.remove(where.cache)
            click.echo("the rig is forgotten" if known else "nothing to do: there is no rig")
        elif practise.put_away(machine, where):
            click.echo("the rig is put away; it goes on with: ouchi rig up")
        else:
            click.echo("nothing to do: the rig is not up")


def _run(machine: LocalMachine, where: Places, doing: str, tasks: list[Task], *, as_json: bool) -> None:
    with only_one(_lock(where), f"rig {doing}"), timeline_of(as_json=as_json) as timeline:
        run_tasks(tasks, timeline, lambda: stop(machine))


def _lock(where: Places) -> str:
    """Beside the folders, which ``down --purge`` removes."""
    return str(where.cache.with_name("rig.lock"))


def _show(kept: Kept, where: Places, *, as_json: bool) -> None:
    """How to get into it."""
    if as_json:
        shown: dict[str, Any] = {**kept.to_json(), "ssh_config": str(where.ssh_config), "host": ALIAS}
        click.echo(json.dumps(shown, indent=2))
        return
    for fault in kept.faults:
        click.echo(f"tried again after a fault of the rig: {fault}")
    click.echo(f"\nouchi rig ssh\nssh -F {where.ssh_config} {ALIAS}")
