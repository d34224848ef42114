"""``ouchi plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ouchi.cli.hosted import Output, run_hosts
from ouchi.cli.picture import svg_option, write_svg
from ouchi.cli.planned import planned_hosts, planned_options, planned_snapshot, style_of

if TYPE_CHECKING:
    from ouchi.flows.site_host import SiteHost
    from ouchi.plan.target import Target


@click.command()
@planned_options
@click.option("--explain", is_flag=True, help="Also what each alternative costs, and the settings it comes down to.")
@svg_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(
    context: click.Context,
    site_file: str,
    names: tuple[str, ...],
    ssh_config: str | None,
    snapshot: str | None,
    choose: str | None,
    explain: bool,
    svg_file: str | None,
    as_json: bool,
) -> None:
    """What this machine, or each host of the site file, should become, and why. Changes nothing; needs no root."""
    import json

    style = style_of(choose)

    def plan(host: SiteHost) -> Output:
        return said_of(host.target(style))

    def said_of(target: Target) -> Output:
        if svg_file:
            write_svg(svg_file, target.facts, target.plan)
        return Output("" if as_json else _text(target, explain=explain), target.plan.to_json())

    if snapshot:
        said = said_of(planned_snapshot(site_file, snapshot, names, style))
        click.echo(json.dumps(said.json, indent=2) if as_json else said.text)
        return
    hosts = planned_hosts(site_file, names, ssh_config, one=bool(svg_file))
    context.exit(run_hosts(hosts, plan, as_json=as_json))


def _text(target: Target, *, explain: bool) -> str:
    from ouchi.report.picture import picture_text
    from ouchi.report.plan import plan_text

    return f"{picture_text(target.facts, target.plan)}\n\n{plan_text(target.plan, colour=None, explain=explain)}"
