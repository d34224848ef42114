"""``ouchi plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ouchi.cli.hosted import Output, check_one, run_hosts
from ouchi.cli.picture import svg_option, write_svg, write_topology
from ouchi.cli.planned import planned_hosts, planned_options, planned_snapshot, style_of

if TYPE_CHECKING:
    from ouchi.flows.site_host import SiteHost
    from ouchi.plan.target import Target


@click.command()
@planned_options
@click.option("--explain", is_flag=True, help="Also the costs of each alternative, and the resulting settings.")
@svg_option
@click.option(
    "--topology",
    "topology_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also draw its networks, as SVG.",
)
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
    topology_file: str | None,
    as_json: bool,
) -> None:
    """Plan this host, or each host of the site file: CPUs, memory, NICs, with reasons. Changes nothing; needs no root."""
    import json

    from ouchi.plan.saved import plan_json

    style = style_of(choose)

    def plan(host: SiteHost) -> Output:
        return answer_of(host.target(style))

    def answer_of(target: Target) -> Output:
        if svg_file:
            write_svg(svg_file, target.facts, target.plan)
        if topology_file:
            write_topology(topology_file, target)
        return Output("", plan_json(target)) if as_json else Output(_text(target, explain=explain))

    if snapshot:
        answer = answer_of(planned_snapshot(site_file, snapshot, names, style))
        click.echo(json.dumps(answer.json, indent=2) if as_json else answer.text)
        return
    hosts = planned_hosts(site_file, names, ssh_config)
    if svg_file or topology_file:
        check_one(hosts)
    context.exit(run_hosts(hosts, plan, as_json=as_json))


def _text(target: Target, *, explain: bool) -> str:
    from ouchi.report.picture.terminal import picture_text
    from ouchi.report.plan import plan_text

    return f"{picture_text(target.facts, target.plan)}\n\n{plan_text(target.plan, colour=None, explain=explain)}"
