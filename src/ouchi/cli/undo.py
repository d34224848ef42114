"""``ouchi undo``."""

from __future__ import annotations

import click

from ouchi.cli.hosted import change_options
from ouchi.cli.site import existing


@click.command()
@click.option(
    "--site",
    "site_file",
    type=click.Path(dir_okay=False),
    default="",
    metavar="FILE",
    callback=existing,
    help="Undo on the hosts of this site file, in place of this machine. What is restored is in each host's journal.",
)
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
    """Restore everything that ouchi apply and ouchi doctor --fix changed, as it was before.

    What others have changed since is left and reported; the exit status is then 1.
    """
    from ouchi.cli.changes import UNDO, run_changes
    from ouchi.cli.hosted import hosts_of, this_machine
    from ouchi.cli.site import DEFAULT_SITE
    from ouchi.core.instance import Instance
    from ouchi.flows.several_hosts import Options
    from ouchi.flows.undo import Undo
    from ouchi.machine.privilege import need_root

    # Without these options the site file is not read: undo works also when that is gone or faulty.
    hosts = hosts_of(site_file or DEFAULT_SITE, names, ssh_config) if site_file or names else [this_machine("")]
    if any(not host.address for host in hosts):
        need_root()
    options = Options(dry_run, yes, not no_reboot, ask=click.confirm)
    context.exit(run_changes([Undo(host, Instance(), options) for host in hosts], UNDO, as_json=as_json))
