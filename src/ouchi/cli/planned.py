"""The options of commands that begin with a plan, and the plan that they ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ouchi.cli.inspect import snapshot_option
from ouchi.cli.site import read_site_option

if TYPE_CHECKING:
    from ouchi.wanted import Wanted

STYLES = ("capacity", "cache", "power")
"""As :class:`ouchi.plan.Style`, without importing the planner for ``--help``."""


def planned_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--site``, ``--snapshot`` and ``--choose``, for :func:`read_planned`."""
    for option in (
        click.option("--choose", type=click.Choice(STYLES), help="Another of the alternatives that ouchi plan shows."),
        snapshot_option,
        read_site_option,
    ):
        command = option(command)
    return command


def read_planned(site_file: str, snapshot: str | None, choose: str | None) -> Wanted:
    """The plan of this machine or of a snapshot's; says so when there is no such file."""
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.snapshot import open_snapshot
    from ouchi.plan import Style
    from ouchi.wanted import read_wanted

    tree = open_snapshot(snapshot) if snapshot else None
    wanted = read_wanted(LocalMachine(), site_file, tree, Style(choose) if choose else None)
    if wanted.new:
        click.echo(f"there is no {site_file}: this is for the one that ouchi up would write", err=True)
    return wanted
