"""What ``ouchi rig`` does."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from ouchi.cli.running import stop, timeline_of
from ouchi.core.errors import Failed, Unhealthy, error
from ouchi.core.events import Say
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.tasks import Task, run_tasks
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import only_one
from ouchi.machine.replace import replace_with
from ouchi.rig import practise, states
from ouchi.rig.base import prepare
from ouchi.rig.keeper import COLD, LOAD, NEW, Kept
from ouchi.rig.login import ALIAS
from ouchi.rig.places import Places, places

SSH = "/usr/bin/ssh"


def run_up(how: str | None, *, as_json: bool) -> None:
    """``up``: what is made once, then the rig itself."""
    with _rig("up") as (machine, where):

        def parts(say: Say) -> Outcome:
            made = False

            def heard(text: str) -> None:
                nonlocal made
                made = True
                say(text)

            prepare(machine, where.cache, heard)
            return changed("made") if made else nothing("all is there")

        def start(say: Say) -> Outcome:
            if practise.is_running(machine, where) and not how:
                practise.await_up(machine, where, say)
                return nothing("it is up")
            begin = time.monotonic()
            wanted = {"new": NEW, "cold": COLD}.get(how or "") or practise.go_on(machine, where)
            practise.start(machine, where, wanted, say)
            return changed(f"up after {time.monotonic() - begin:.1f} s")

        _run(machine, [Task("rig", "parts", parts), Task("rig", "start", start, ("parts",))], as_json=as_json)
        _show(practise.require_up(machine, where), where, as_json=as_json)


def run_ssh(user: str, words: tuple[str, ...]) -> None:
    """``ssh``: become ssh."""
    with _rig() as (machine, where):
        practise.require_up(machine, where)
        if not replace_with((SSH, "-F", str(where.ssh_config), f"{user}@{ALIAS}", *words), {}):
            raise Unhealthy(error("there is no ssh here", where=SSH, remedy="apt-get install openssh-client"))


def save_state(name: str, *, as_json: bool) -> None:
    """``snapshot NAME``."""
    with _rig("snapshot") as (machine, where):
        begin = time.monotonic()
        practise.save(machine, where, name)
        seconds = time.monotonic() - begin
        click.echo(json.dumps({"saved": name, "seconds": seconds}) if as_json else f"saved {name} ({seconds:.1f} s)")


def load_state(name: str, *, as_json: bool) -> None:
    """``snapshot --load NAME``."""
    with _rig("snapshot") as (machine, where):
        states.require_state(practise.saved(machine, where), name)

        def load(say: Say) -> Outcome:
            practise.start(machine, where, LOAD + name, say)
            return changed(f"{name} loaded")

        _run(machine, [Task("rig", "start", load)], as_json=as_json)
        _show(practise.require_up(machine, where), where, as_json=as_json)


def list_states(*, as_json: bool) -> None:
    """``snapshot --list``."""
    with _rig() as (machine, where):
        found = practise.saved(machine, where)
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
    with _rig("down") as (machine, where):
        if purge:
            practise.end(where)
            known = machine.exists(where.folder) or machine.exists(where.cache)
            machine.remove(where.folder)
            machine.remove(where.cache)
            click.echo("the rig is forgotten" if known else "nothing to do: there is no rig")
        else:
            click.echo(practise.put_away(machine, where))


@contextlib.contextmanager
def _rig(doing: str = "") -> Iterator[tuple[LocalMachine, Places]]:
    """This machine, and where its rig is. ``doing``: what only one command does at a time."""
    machine, where = LocalMachine(), places(os.environ)
    try:
        with only_one(_lock(where), f"rig {doing}") if doing else contextlib.nullcontext():
            yield machine, where
    except BrokenPipeError:  # nobody reads what we say
        raise
    except OSError as reason:
        raise Failed(
            error(
                "the rig's files cannot be worked with",
                where=str(reason.filename or where.folder),
                found=reason.strerror or str(reason),
                expected="folders that are yours, with 2 GB of room",
                remedy="make room there, or have others by XDG_CACHE_HOME and XDG_STATE_HOME; then the same again",
            )
        ) from None


def _run(machine: LocalMachine, tasks: list[Task], *, as_json: bool) -> None:
    with timeline_of(as_json=as_json) as timeline:
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
