"""The options of commands that begin with a plan, and the plans that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ouchi.cli.hosted import host_options
from ouchi.cli.inspect import snapshot_option
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
        click.option("--choose", type=click.Choice(STYLES), help="Another of the alternatives that ouchi plan shows."),
        snapshot_option,
        host_options,
        read_site_option,
    ):
        command = option(command)
    return command


def style_of(choose: str | None) -> Style | None:
    """The style that ``--choose`` names."""
    from ouchi.plan import Style

    return Style(choose) if choose else None


def planned_hosts(site_file: str, names: Sequence[str], ssh_config: str | None, *, one: bool = False) -> list[SiteHost]:
    """The hosts to plan; says so when there is no such file. Raises BadInput where ``one`` must be meant."""
    from ouchi.cli.hosted import hosts_of
    from ouchi.core.errors import BadInput
    from ouchi.site import several

    hosts = hosts_of(site_file, names, ssh_config)
    if hosts[0].site is None:
        click.echo(f"there is no {site_file}: this is for the one that ouchi up would write", err=True)
    if one and len(hosts) > 1:
        raise BadInput(several([host.site for host in hosts if host.site]))
    return hosts


def planned_snapshot(site_file: str, snapshot: str, names: Sequence[str], style: Style | None) -> Target:
    """The plan of a snapshot's host; with several in the file, of the one that is named, or has the name of that host."""
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.snapshot import open_snapshot
    from ouchi.plan.load import facts_of, own_site, target_of
    from ouchi.site import choose, read_sites

    facts, local = facts_of(open_snapshot(snapshot)), LocalMachine()
    if not local.exists(site_file):
        click.echo(f"there is no {site_file}: this is for the one that ouchi up would write", err=True)
        return target_of(site_file, None, facts, style)
    return target_of(site_file, own_site(choose(read_sites(local, site_file), names), facts), facts, style)


def read_planned(
    site_file: str, names: Sequence[str], ssh_config: str | None, snapshot: str | None, choose: str | None
) -> Target:
    """The one plan that is asked for: of this machine, of a host of the file, or of a snapshot's."""
    if snapshot:
        return planned_snapshot(site_file, snapshot, names, style_of(choose))
    (host,) = planned_hosts(site_file, names, ssh_config, one=True)
    try:
        return host.target(style_of(choose))
    finally:
        host.close()
