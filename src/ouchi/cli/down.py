"""``ouchi down``."""

from __future__ import annotations

import click


@click.command()
@click.option("--purge", is_flag=True, help="Delete the data too: databases, images, guests' disks, passwords, logs.")
@click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr.")
def command(purge: bool, as_json: bool) -> None:
    """Stop everything and restore the machine; the data is kept."""
    from ouchi.machine.privilege import need_root

    need_root()
    from ouchi.cli.running import run_down

    click.get_current_context().exit(run_down(purge=purge, as_json=as_json))
