"""``ouchi status``."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Each part's live state, and what differs from the plan.

    Exit status: 0 healthy, 1 not as planned or not up.
    """
    from ouchi.machine.privilege import need_root

    need_root()
    import json

    from ouchi.core.instance import LOCK, Instance
    from ouchi.flows.status import read_status, under_way
    from ouchi.machine.local import LocalMachine
    from ouchi.parts.supervise.choose import choose_supervisor
    from ouchi.report.status import status_text

    machine, instance = LocalMachine(), Instance()
    supervisor = choose_supervisor(machine, instance)
    status = read_status(machine, instance, supervisor, under_way(machine, LOCK))
    machine.interrupt()  # programs of looks that were given up
    click.echo(json.dumps(status.to_json(), indent=2) if as_json else status_text(status))
    context.exit(0 if status.healthy else 1)
