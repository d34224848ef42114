"""``ouchi rig``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from ouchi.cli.output import echo

if TYPE_CHECKING:
    from ouchi.core.events import Timeline
    from ouchi.machine.local import LocalMachine
    from ouchi.rig.keeper import KeeperStatus
    from ouchi.rig.paths import RigPaths


@click.group()
def command() -> None:
    """Run a virtual server with SMT, IOMMU and SR-IOV for tests.

    \b
    Twelve CPUs (six cores of two threads, two L3 caches), 6 GiB, an IOMMU, two connected NICs with SR-IOV, two old
    NICs in one IOMMU group; Debian 13 with GRUB and systemd. With --nodes 2 each L3 cache is a NUMA node, with a NIC
    on each. It needs no root once its tools are installed.
    Emulated where there is no KVM: configuration is real, packet rates mean nothing.
    """


@command.command()
@click.option("--new", "how", flag_value="new", help="Start over: delete its disk and snapshots.")
@click.option("--cold", "how", flag_value="cold", help="Boot from its disk; powered off first where it runs.")
@click.option("--nodes", type=click.IntRange(1, 2), help="NUMA nodes; with 2, one NIC on each and 4 GiB.")
@click.option("--memoryless", is_flag=True, help="With --nodes 2: node 0 without memory.")
@click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the rig as JSON on stdout.")
def up(how: str | None, nodes: int | None, memoryless: bool, as_json: bool) -> None:
    """Start or resume it; the first time it is made, which takes some two minutes."""
    from ouchi.flows import rig
    from ouchi.rig.hardware import Shape

    if memoryless and nodes != 2:
        raise click.UsageError("--memoryless needs --nodes 2: the only node has the memory")
    shapes = {None: None, 1: Shape.ONE_NODE, 2: Shape.MEMORYLESS if memoryless else Shape.TWO_NODES}
    with _rig("up") as (machine, paths):
        _start(machine, paths, lambda *progress: rig.up(machine, paths, how, shapes[nodes], *progress), as_json=as_json)


@command.command(context_settings={"ignore_unknown_options": True})
@click.option("--user", default="root", show_default=True, help="root, or ouchi, which has sudo.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND]")
def ssh(user: str, words: tuple[str, ...]) -> None:
    """Open a shell in it, or run a command. Exit status: the command's."""
    from ouchi.core.errors import Unhealthy
    from ouchi.machine.own_process import replace_with
    from ouchi.rig import control
    from ouchi.rig.login import ALIAS

    program = "/usr/bin/ssh"
    with _rig() as (machine, paths):
        control.require_up(machine, paths)
        if not replace_with((program, "-F", str(paths.ssh_config), f"{user}@{ALIAS}", *words), {}):
            raise Unhealthy.of("there is no ssh here", where=program, remedy="apt-get install openssh-client")


@command.command()
@click.argument("name", required=False)
@click.option("--load", "loading", is_flag=True, help="Go back to NAME, disk included.")
@click.option("--list", "listing", is_flag=True, help="List the saved states.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def snapshot(name: str | None, loading: bool, listing: bool, as_json: bool) -> None:
    """Save its state as NAME (memory, CPUs, devices, disk), or go back to a saved one."""
    if listing == bool(name) or (listing and loading):
        raise click.UsageError("give NAME, NAME with --load, or --list")
    import time

    from ouchi.flows import rig
    from ouchi.rig import control

    if listing or name is None:
        _list_states(as_json=as_json)
        return
    with _rig("snapshot") as (machine, paths):
        if loading:
            _start(machine, paths, lambda *progress: rig.load(machine, paths, name, *progress), as_json=as_json)
            return
        begin = time.monotonic()
        control.save(machine, paths, name)
        seconds = time.monotonic() - begin
        click.echo(
            json.dumps({"schema": 1, "saved": name, "seconds": seconds})
            if as_json
            else f"saved {name} ({seconds:.1f} s)"
        )


@command.command()
@click.option("--purge", is_flag=True, help="Delete it: its disk, its snapshots, and what was made for it.")
def down(purge: bool) -> None:
    """Suspend it: save its state and stop it; up resumes it."""
    from ouchi.flows import rig
    from ouchi.rig import control

    with _rig("down") as (machine, paths):
        if not purge:
            click.echo(control.suspend(machine, paths))
        elif rig.purge(machine, paths):
            click.echo("the rig is deleted")
        else:
            click.echo("nothing to do: there is no rig")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show whether it is up, its NUMA nodes, ssh port, saved states and size. Exit status: 0 up, 1 not up."""
    from ouchi.report.rig import rig_text
    from ouchi.rig import overview

    with _rig() as (machine, paths):
        found = overview.look(machine, paths)
    echo(json.dumps(found.to_json(), indent=2) if as_json else rig_text(found))
    context.exit(0 if found.phase == "up" else 1)


@contextlib.contextmanager
def _rig(command: str = "") -> Iterator[tuple[LocalMachine, RigPaths]]:
    """This machine, and the paths of its rig; with ``command`` no other command changes the rig meanwhile."""
    import os

    from ouchi.flows.rig import file_errors
    from ouchi.machine.local import LocalMachine
    from ouchi.rig.paths import rig_paths

    machine, paths = LocalMachine(), rig_paths(os.environ)
    with file_errors(paths), machine.hold(paths.lock, f"rig {command}") if command else contextlib.nullcontext():
        yield machine, paths


def _start(
    machine: LocalMachine,
    paths: RigPaths,
    act: Callable[[Timeline, Callable[[], None]], KeeperStatus],
    *,
    as_json: bool,
) -> None:
    """Start it by ``act``, then print how to log in, and the faults of the rig so far."""
    from ouchi.cli.running import stop
    from ouchi.cli.timeline import timeline_of
    from ouchi.rig.assets import read_assets
    from ouchi.rig.hardware import NODES
    from ouchi.rig.login import ALIAS

    with timeline_of(as_json=as_json) as timeline:
        status = act(timeline, lambda: stop(machine))
    if as_json:
        assets = read_assets(machine, paths.folder)
        shape = {"numa_memory_gib": NODES[assets.shape] or (6,)} if assets else {}
        shown: dict[str, Any] = {
            "schema": 1,
            **status.to_json(),
            **shape,
            "ssh_config": str(paths.ssh_config),
            "host": ALIAS,
        }
        click.echo(json.dumps(shown, indent=2))
        return
    for fault in status.faults:
        click.echo(f"tried again after a fault of the rig: {fault}")
    echo(f"\nouchi rig ssh\nssh -F {paths.ssh_config} {ALIAS}")


def _list_states(*, as_json: bool) -> None:
    from ouchi.report.rig import state_line
    from ouchi.rig import control

    with _rig() as (machine, paths):
        found = control.saved(machine, paths)
    if as_json:
        members = [{"name": one.name, "saved": one.saved, "size": one.size} for one in found]
        click.echo(json.dumps({"schema": 1, "states": members}, indent=2))
        return
    for one in found:
        click.echo(state_line(one))
    if not found:
        click.echo("nothing has been saved; the rig was never started")
