"""``ouchi plan``."""

from __future__ import annotations

import click

from ouchi.cli.inspect import snapshot_option
from ouchi.cli.site import DEFAULT_SITE


@click.command()
@click.option(
    "--site",
    "site_file",
    type=click.Path(dir_okay=False),
    default=DEFAULT_SITE,
    show_default=True,
    envvar="OUCHI_SITE",
    help="The site file; when it is not there, the one that ouchi up would write is planned.",
)
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def command(site_file: str, snapshot: str | None, as_json: bool) -> None:
    """What this machine should become, and why. Changes nothing; needs no root."""
    import json

    from ouchi.machine.local import LocalMachine
    from ouchi.machine.snapshot import SnapshotReader
    from ouchi.report.plan import plan_text
    from ouchi.wanted import read_wanted

    wanted = read_wanted(LocalMachine(), site_file, SnapshotReader(snapshot) if snapshot else None)
    if wanted.new:
        click.echo(f"there is no {site_file}: this is the plan for the one that ouchi up would write", err=True)
    click.echo(json.dumps(wanted.plan.to_json(), indent=2) if as_json else plan_text(wanted.plan, colour=None))
