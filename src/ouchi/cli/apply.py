"""``ouchi apply``."""

from __future__ import annotations

import click

from ouchi.cli.hosted import change_options
from ouchi.cli.site import read_site_option


@click.command()
@read_site_option
@change_options
@click.pass_context
def command(
    context: click.Context,
    site_file: str,
    names: tuple[str, ...],
    ssh_config: str | None,
    dry_run: bool,
    yes: bool,
    no_reboot: bool,
    as_json: bool,
) -> None:
    """Make machines as planned: boot, hugepages, isolated CPUs, cards, services. ouchi undo takes it back.

    Shows every change first. What a machine is reached by is never touched; when it is not reached any more
    afterwards, everything is put back by itself. Run again to go on.
    """
    import sys

    from ouchi.cli.applying import run_apply
    from ouchi.cli.hosted import hosts_of
    from ouchi.cli.together import Wishes
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.privilege import need_root

    hosts = hosts_of(site_file, names, ssh_config)
    if any(not host.address for host in hosts):
        need_root()
    path = LocalMachine().absolute(site_file)
    go_on = (
        sys.executable,
        "-I",
        "-m",
        "ouchi",
        "apply",
        "--yes",
        "--site",
        path,
        *(f"--host={name}" for name in names),
    )
    context.exit(run_apply(hosts, Wishes(dry_run, yes, not no_reboot, go_on), as_json=as_json))
