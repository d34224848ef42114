"""``ouchi status``."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show the live state of each part, and what differs from the plan.

    Exit status: 0 healthy, 1 not as planned or not up.
    """
    from ouchi.machine.privilege import need_root

    need_root()
    import json

    from ouchi.core.instance import LOCK, Instance
    from ouchi.flows.status import read_status, under_way
    from ouchi.machine.local import LocalMachine
    from ouchi.parts.context import Context
    from ouchi.report.status import status_text

    machine, instance = LocalMachine(), Instance()
    status = read_status(Context(machine, instance, seconds=5.0), under_way(machine, LOCK))
    machine.interrupt()  # programs of parts that did not answer in time
    click.echo(json.dumps(status.to_json(), indent=2) if as_json else status_text(status))
    context.exit(0 if status.healthy else 1)
