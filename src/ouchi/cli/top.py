"""``ouchi top``."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import click


@click.command()
@click.option(
    "--interval", type=click.FloatRange(0.5, 3600), default=2.0, show_default=True, metavar="SECONDS",
    help="Between two readings.",
)  # fmt: skip
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N readings.")
@click.option("--json", "as_json", is_flag=True, help="A JSON document in each line.")
@click.pass_context
def command(context: click.Context, interval: float, count: int | None, as_json: bool) -> None:
    """Show the load of PMD threads, the rates and drops of ports, and guests, until q or Ctrl-C.

    Into a pipe: a line for each of them, and an empty one after each reading. Changes nothing.

    Exit status: 0, or 130 after Ctrl-C.
    """
    from ouchi.machine.privilege import need_root

    need_root()
    from rich.live import Live

    from ouchi.core.instance import Instance
    from ouchi.flows.top import watch
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.own_process import Keys
    from ouchi.report.page import live_console
    from ouchi.report.top import top_json, top_lines, top_view

    machine = LocalMachine()
    console = live_console()
    drawn = console.is_terminal and not as_json
    try:
        with Keys(sys.stdin if drawn else None) as keys:
            readings = watch(machine, Instance(), lambda: keys.wait(interval) not in ("q", "Q", "\x03"), last=count)
            if not drawn:
                for found in readings:
                    lines = [json.dumps(top_json(found))] if as_json else [*top_lines(found), ""]
                    click.echo("\n".join(lines))
                    sys.stdout.flush()
                return
            text = "q: end"
            with Live(console=console, screen=count != 1, auto_refresh=False) as live:
                for found in readings:
                    live.update(top_view(found, console.width, text if count != 1 else ""), refresh=True)
    except KeyboardInterrupt:
        with suppress(OSError):
            machine.interrupt()
        context.exit(130)
