"""``ouchi undo``."""

from __future__ import annotations

import click


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be put back; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask: put back, and restart where that is needed.")
@click.option("--no-reboot", is_flag=True, help="Leave the restart to you.")
@click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the result on stdout.")
def command(dry_run: bool, yes: bool, no_reboot: bool, as_json: bool) -> None:
    """Put back everything that ouchi apply changed, as it was before. What somebody else changed since is left and told."""
    from ouchi.cli.applying import run_undo
    from ouchi.machine.privilege import need_root

    need_root()
    click.get_current_context().exit(run_undo(dry_run=dry_run, yes=yes, restart=not no_reboot, as_json=as_json))
