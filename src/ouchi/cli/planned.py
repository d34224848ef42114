"""The options of commands that work from a plan, and the plans they choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ouchi.cli.choice import Choice
from ouchi.cli.hosted import host_options, hosts_of
from ouchi.cli.inspect import snapshot_option
from ouchi.cli.output import echo
from ouchi.cli.site import read_site_option

if TYPE_CHECKING:
    from ouchi.flows.site_host import SiteHost
    from ouchi.plan import Style
    from ouchi.plan.target import Target

STYLES = ("capacity", "cache", "power")
"""As :class:`ouchi.plan.Style`, without importing the planner for ``--help``."""


def planned_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--site``, ``--host``, ``--ssh-config``, ``--snapshot`` and ``--choose``."""
    for option in (
        click.option("--choose", type=Choice(STYLES), help="Take this alternative in place of cpus.prefer."),
        snapshot_option,
        host_options,
        read_site_option,
    ):
        command = option(command)
    return command


plan_option = click.option(
    "--plan",
    "plan_file",
    type=click.Path(),
    metavar="FILE",
    help="A plan saved by ouchi plan --json, in place of the site file and the host's facts.",
)


def check_plan_alone() -> None:
    """Raise BadInput when the command line has ``--plan`` and an option that chooses another plan."""
    from ouchi.core.errors import BadInput

    context, choosing = click.get_current_context(), ("site_file", "names", "snapshot", "choose")
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name in choosing and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise BadInput.of(
            "a saved plan has its own site and facts",
            found=f"--plan and {', '.join(given)}",
            expected="--plan alone",
        )


def style_of(choose: str | None) -> Style | None:
    """The style that ``--choose`` names."""
    from ouchi.plan import Style

    return Style(choose) if choose else None


def planned_hosts(site_file: str, names: Sequence[str], ssh_config: str | None) -> list[SiteHost]:
    """The hosts to plan, with a message when there is no site file."""
    hosts = hosts_of(site_file, names, ssh_config)
    if hosts[0].site is None:
        echo(f"{site_file} does not exist: planning with the one that ouchi up would write", err=True)
    return hosts


def planned_snapshot(site_file: str, snapshot: str, names: Sequence[str], style: Style | None) -> Target:
    """The plan of a snapshot's host; of several in the file, the named one or the one with its host name."""
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.snapshot import open_snapshot
    from ouchi.plan.load import facts_of, own_site, target_of
    from ouchi.site import choose, read_sites

    facts, local = facts_of(open_snapshot(snapshot)), LocalMachine()
    if not local.exists(site_file):
        echo(f"{site_file} does not exist: planning with the one that ouchi up would write", err=True)
        return target_of(site_file, None, facts, style)
    return target_of(site_file, own_site(choose(read_sites(local, site_file), names), facts), facts, style)


def read_all_planned(
    site_file: str, names: Sequence[str], ssh_config: str | None, snapshot: str | None, choose: str | None
) -> list[Target]:
    """The plans of this host or of all chosen hosts of the file, read in parallel; or that of a snapshot."""
    from ouchi.cli.hosted import job_of
    from ouchi.flows.hosts import results_of

    if snapshot:
        return [planned_snapshot(site_file, snapshot, names, style_of(choose))]
    hosts, style = planned_hosts(site_file, names, ssh_config), style_of(choose)
    return results_of([job_of(host, lambda host: host.target(style)) for host in hosts])
