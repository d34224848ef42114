"""``ouchi up --dry-run``: the plan, and what ``up`` would do."""

from __future__ import annotations

import json
import os

import click

from ouchi.cli import show
from ouchi.cli.output import echo
from ouchi.core.errors import BadInput
from ouchi.core.instance import Instance
from ouchi.flows.up import dry_run
from ouchi.machine.local import LocalMachine
from ouchi.parts.conflicts import conflicts
from ouchi.parts.context import Context
from ouchi.parts.registry import all_parts
from ouchi.plan.load import read_target
from ouchi.report.preview import preview_json, preview_text

CLOUD_SECONDS = 4.0
"""Timeout of an OpenStack API for each response."""


def show_ahead(site_file: str, until: str, *, as_json: bool) -> None:
    """Print what ``up`` would do up to a stage, and what only root can read. Changes nothing.

    Raises :class:`~ouchi.core.errors.BadInput` where ``up`` would refuse: for the site at once, for conflicts with other
    programs at the end.
    """
    machine, instance = LocalMachine(), Instance()
    target = read_target(machine, machine.absolute(site_file))
    at = Context(machine, instance, target, seconds=CLOUD_SECONDS)
    states = dry_run(at, until)
    # Without root, ouchi's services cannot be distinguished from those of others.
    hidden = os.geteuid() != 0 and machine.exists(instance.run)
    findings = [] if hidden else conflicts(at, all_parts())
    if as_json:
        click.echo(json.dumps(preview_json(target, states, findings), indent=2))
    else:
        click.echo(preview_text(target, states))
        if target.site.nics or target.site.cpus.isolate:
            echo("before all this the machine itself is changed: ouchi apply --dry-run shows how")
    if findings and as_json:  # they are in the document above
        show(*findings)
        click.get_current_context().exit(BadInput.status)
    if findings:
        raise BadInput(findings)
