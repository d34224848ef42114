"""``ouchi undo``."""

from __future__ import annotations

import click

from ouchi.cli.hosted import change_options


@click.command()
@click.option(
    "--site", "site_file", type=click.Path(dir_okay=False), default="", metavar="FILE",
    help="The hosts of this site file, in place of this machine. What is put back is what the host says was changed.",
)  # fmt: skip
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
    """Put back everything that ouchi apply changed, as it was before.

    What somebody else has changed since is left and told; the exit status is then 1.
    """
    from ouchi.cli.hosted import hosts_of, this_machine
    from ouchi.cli.site import DEFAULT_SITE
    from ouchi.cli.together import Wishes
    from ouchi.cli.undoing import run_undo
    from ouchi.machine.privilege import need_root

    # Without a word of them the site file is not read: undo works also when that is gone or broken.
    hosts = hosts_of(site_file or DEFAULT_SITE, names, ssh_config) if site_file or names else [this_machine("")]
    if any(not host.address for host in hosts):
        need_root()
    context.exit(run_undo(hosts, Wishes(dry_run, yes, not no_reboot), as_json=as_json))
