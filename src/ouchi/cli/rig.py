"""``ouchi rig``."""

from __future__ import annotations

import click


@click.group()
def command() -> None:
    """A virtual server with SMT, IOMMU and SR-IOV to practise on.

    \b
    Twelve CPUs (six cores of two threads, two L3 caches), 6 GiB, an IOMMU, two wired ports with SR-IOV, two old
    cards in one IOMMU group; Debian 13 with GRUB and systemd. It needs no root once its tools are installed.
    Emulated where there is no KVM: what is configured is real, how fast packets go means nothing.
    """


@command.command()
@click.option("--new", "how", flag_value="new", help="From the beginning: forget its disk and snapshots.")
@click.option("--cold", "how", flag_value="cold", help="Boot from its disk as it is, after a power cut when it runs.")
@click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the rig as JSON on stdout.")
def up(how: str | None, as_json: bool) -> None:
    """Start it, or go on where it was put away; the first time it is made, which takes some two minutes."""
    from ouchi.cli.rigging import run_up

    run_up(how, as_json=as_json)


@command.command(context_settings={"ignore_unknown_options": True})
@click.option("--user", default="root", show_default=True, help="root, or ouchi, who has sudo.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND]")
def ssh(user: str, words: tuple[str, ...]) -> None:
    """A shell in it, or a command there. Exit status: the command's."""
    from ouchi.cli.rigging import run_ssh

    run_ssh(user, words)


@command.command()
@click.argument("name", required=False)
@click.option("--load", "loading", is_flag=True, help="Go back to NAME, disk included.")
@click.option("--list", "listing", is_flag=True, help="What has been saved.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def snapshot(name: str | None, loading: bool, listing: bool, as_json: bool) -> None:
    """Save its state as NAME (memory, CPUs, devices, disk), or go back to one."""
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
@click.option("--purge", is_flag=True, help="Forget it: its disk, its snapshots, and what was made for it (1 GB).")
def down(purge: bool) -> None:
    """Put it away; up goes on from there. Twice is fine."""
    from ouchi.cli.rigging import run_down

    run_down(purge=purge)
