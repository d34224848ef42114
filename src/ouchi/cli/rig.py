"""``ouchi rig``."""

from __future__ import annotations

import click


@click.group()
def command() -> None:
    """Run a virtual server with SMT, IOMMU and SR-IOV for tests.

    \b
    Twelve CPUs (six cores of two threads, two L3 caches), 6 GiB, an IOMMU, two connected NICs with SR-IOV, two old
    NICs in one IOMMU group; Debian 13 with GRUB and systemd. It needs no root once its tools are installed.
    Emulated where there is no KVM: configuration is real, packet rates mean nothing.
    """


@command.command()
@click.option("--new", "how", flag_value="new", help="Start over: delete its disk and snapshots.")
@click.option("--cold", "how", flag_value="cold", help="Boot from its disk; powered off first where it runs.")
@click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the rig as JSON on stdout.")
def up(how: str | None, as_json: bool) -> None:
    """Start or resume it; the first time it is made, which takes some two minutes."""
    from ouchi.cli.rigging import run_up

    run_up(how, as_json=as_json)


@command.command(context_settings={"ignore_unknown_options": True})
@click.option("--user", default="root", show_default=True, help="root, or ouchi, which has sudo.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND]")
def ssh(user: str, words: tuple[str, ...]) -> None:
    """Open a shell in it, or run a command. Exit status: the command's."""
    from ouchi.cli.rigging import run_ssh

    run_ssh(user, words)


@command.command()
@click.argument("name", required=False)
@click.option("--load", "loading", is_flag=True, help="Go back to NAME, disk included.")
@click.option("--list", "listing", is_flag=True, help="List the saved states.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def snapshot(name: str | None, loading: bool, listing: bool, as_json: bool) -> None:
    """Save its state as NAME (memory, CPUs, devices, disk), or go back to a saved one."""
    if listing == bool(name) or (listing and loading):
        raise click.UsageError("give NAME, NAME with --load, or --list")
    from ouchi.cli.rigging import list_states, load_state, save_state

    if listing or name is None:
        list_states(as_json=as_json)
    elif loading:
        load_state(name, as_json=as_json)
    else:
        save_state(name, as_json=as_json)


@command.command()
@click.option("--purge", is_flag=True, help="Delete it: its disk, its snapshots, and what was made for it (1 GB).")
def down(purge: bool) -> None:
    """Suspend it: save its state and stop it; up resumes it."""
    from ouchi.cli.rigging import run_down

    run_down(purge=purge)
