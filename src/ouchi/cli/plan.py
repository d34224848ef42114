"""``ouchi plan``."""

from __future__ import annotations

import click

from ouchi.cli.picture import svg_option, write_svg
from ouchi.cli.planned import planned_options, read_planned


@click.command()
@planned_options
@click.option("--explain", is_flag=True, help="Also what each alternative costs, and the settings it comes down to.")
@svg_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def command(
    site_file: str, snapshot: str | None, choose: str | None, explain: bool, svg_file: str | None, as_json: bool
) -> None:
    """What this machine should become, and why. Changes nothing; needs no root."""
    import json

    from ouchi.report.picture import picture_text
    from ouchi.report.plan import plan_text

    wanted = read_planned(site_file, snapshot, choose)
    if svg_file:
        write_svg(svg_file, wanted.facts, wanted.plan)
    if as_json:
        click.echo(json.dumps(wanted.plan.to_json(), indent=2))
        return
    click.echo(picture_text(wanted.facts, wanted.plan))
    click.echo()
    click.echo(plan_text(wanted.plan, colour=None, explain=explain))
