"""``ouchi apply``."""

from __future__ import annotations

import click

from ouchi.cli.site import read_site_option


@click.command()
@read_site_option
@click.option("--dry-run", is_flag=True, help="Show what would be changed; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask: change, and restart where that is needed.")
@click.option("--no-reboot", is_flag=True, help="Leave the restart to you.")
@click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the result on stdout.")
def command(site_file: str, dry_run: bool, yes: bool, no_reboot: bool, as_json: bool) -> None:
    """Make the machine itself as planned: boot, hugepages, isolated CPUs, cards, services. ouchi undo takes it back.

    Shows every change first. What the machine is reached by is never touched; what is near it is put back by itself
    unless the machine is still reached afterwards. Run again to go on.
    """
    from ouchi.cli.applying import run_apply
    from ouchi.machine.privilege import need_root

    need_root()
    status = run_apply(site_file, dry_run=dry_run, yes=yes, restart=not no_reboot, as_json=as_json)
    click.get_current_context().exit(status)
