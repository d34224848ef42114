"""``ouchi logs``."""

from __future__ import annotations

import click

from ouchi.cli.choice import completing, nearest


def _known() -> list[str]:
    """The parts that have a log."""
    from ouchi.core.instance import Instance
    from ouchi.machine.local import LocalMachine

    return [name.removesuffix(".log") for name in LocalMachine().entries(Instance().logs) if name.endswith(".log")]


def _services(_context: click.Context) -> list[str]:
    """The parts that have a log, or where only root can see that, all that may have one."""
    from ouchi.parts.registry import all_parts

    return _known() or [name for part in all_parts() for name in part.service_names]


@click.command()
@click.argument("part", shell_complete=completing(_services))
@click.option(
    "-n", "--lines", default=50, show_default=True, type=click.IntRange(1), help="Number of lines, from the end."
)
@click.option("-f", "--follow", is_flag=True, help="Follow the log; stop with Ctrl-C.")
def command(part: str, lines: int, follow: bool) -> None:
    """Show a service's log, by its name in ouchi status."""
    from ouchi.machine.privilege import need_root

    need_root()
    from ouchi.core.errors import BadInput, Interrupted
    from ouchi.core.instance import Instance
    from ouchi.machine.local import LocalMachine

    if part not in (known := _known()):
        near = nearest(part, known)
        raise BadInput.of(
            "no such part has written anything",
            found=part,
            expected=", ".join(known) or "none has",
            remedy=f"ouchi logs {near}" if near else "ouchi status",
        )
    tail = ("tail", "-n", str(lines), *(("-F",) if follow else ()), "--", f"{Instance().logs}/{part}.log")
    try:
        for line in LocalMachine().lines(tail):
            click.echo(line)
    except KeyboardInterrupt:
        if not follow:
            raise
        raise click.exceptions.Exit(Interrupted.status) from None
