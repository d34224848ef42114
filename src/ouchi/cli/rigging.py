"""The command line of ``ouchi rig``: what its subcommands print."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from ouchi.cli.running import stop
from ouchi.cli.timeline import timeline_of
from ouchi.core.errors import Unhealthy, error
from ouchi.flows import rig
from ouchi.machine.local import LocalMachine
from ouchi.machine.own_process import replace_with
from ouchi.rig import control
from ouchi.rig.keeper import KeeperStatus
from ouchi.rig.login import ALIAS
from ouchi.rig.paths import RigPaths, rig_paths

SSH = "/usr/bin/ssh"


def run_up(option: str | None, *, as_json: bool) -> None:
    """``up``, perhaps with ``--new`` or ``--cold``."""
    with _rig("up") as (machine, paths):
        with timeline_of(as_json=as_json) as timeline:
            status = rig.up(machine, paths, option, timeline, lambda: stop(machine))
        _print_login(status, paths, as_json=as_json)


def run_ssh(user: str, words: tuple[str, ...]) -> None:
    """``ssh``: replace this process by ssh."""
    with _rig() as (machine, paths):
        control.require_up(machine, paths)
        if not replace_with((SSH, "-F", str(paths.ssh_config), f"{user}@{ALIAS}", *words), {}):
            raise Unhealthy(error("there is no ssh here", where=SSH, remedy="apt-get install openssh-client"))


def save_state(name: str, *, as_json: bool) -> None:
    """``snapshot NAME``."""
    with _rig("snapshot") as (machine, paths):
        begin = time.monotonic()
        control.save(machine, paths, name)
        seconds = time.monotonic() - begin
        click.echo(json.dumps({"saved": name, "seconds": seconds}) if as_json else f"saved {name} ({seconds:.1f} s)")


def load_state(name: str, *, as_json: bool) -> None:
    """``snapshot --load NAME``."""
    with _rig("snapshot") as (machine, paths):
        with timeline_of(as_json=as_json) as timeline:
            status = rig.load(machine, paths, name, timeline, lambda: stop(machine))
        _print_login(status, paths, as_json=as_json)


def list_states(*, as_json: bool) -> None:
    """``snapshot --list``."""
    with _rig() as (machine, paths):
        found = control.saved(machine, paths)
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
    """``down``, perhaps with ``--purge``."""
    with _rig("down") as (machine, paths):
        if not purge:
            click.echo(control.suspend(machine, paths))
        elif rig.purge(machine, paths):
            click.echo("the rig is deleted")
        else:
            click.echo("nothing to do: there is no rig")


@contextlib.contextmanager
def _rig(command: str = "") -> Iterator[tuple[LocalMachine, RigPaths]]:
    """This machine, and the paths of its rig; with ``command`` no other command changes the rig meanwhile."""
    machine, paths = LocalMachine(), rig_paths(os.environ)
    with rig.file_errors(paths), rig.exclusive(machine, paths, command) if command else contextlib.nullcontext():
        yield machine, paths


def _print_login(status: KeeperStatus, paths: RigPaths, *, as_json: bool) -> None:
    """Print how to log in, and the faults of the rig so far."""
    if as_json:
        shown: dict[str, Any] = {**status.to_json(), "ssh_config": str(paths.ssh_config), "host": ALIAS}
        click.echo(json.dumps(shown, indent=2))
        return
    for fault in status.faults:
        click.echo(f"tried again after a fault of the rig: {fault}")
    click.echo(f"\nouchi rig ssh\nssh -F {paths.ssh_config} {ALIAS}")
