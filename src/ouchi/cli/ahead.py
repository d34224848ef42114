"""``ouchi up --dry-run``: the plan, and what ``up`` would do."""

from __future__ import annotations

import json
import os

import click

from ouchi.core.errors import BadInput
from ouchi.core.instance import Instance
from ouchi.flows.preview import Ahead
from ouchi.machine.local import LocalMachine
from ouchi.parts.supervise.choose import choose_supervisor
from ouchi.plan.load import read_target
from ouchi.report.preview import preview_json, preview_text


def show_ahead(site_file: str, until: str, *, as_json: bool) -> None:
    """Print what would be done up to a stage. Changes nothing; what only root may read is said to be so.

    Raises :class:`~ouchi.core.errors.BadInput` where ``up`` would refuse: for the site at once, for what is in the way at
    the end.
    """
    machine, instance = LocalMachine(), Instance()
    target = read_target(machine, machine.absolute(site_file))
    ahead = Ahead(machine, instance, choose_supervisor(machine, instance), target, root=os.geteuid() == 0)
    intents, findings = ahead.intents(until), ahead.in_the_way()
    if as_json:
        click.echo(json.dumps(preview_json(target, intents, findings), indent=2))
    else:
        click.echo(preview_text(target, intents))
        if target.site.nics or target.site.cpus.isolate:
            click.echo("before all this the machine itself is changed: ouchi apply --dry-run shows how")
    if findings:
        raise BadInput(findings)
