"""The option that asks for the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ouchi.facts import Facts
    from ouchi.plan import Plan

svg_option = click.option(
    "--svg",
    "svg_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also draw it: cores by socket and cache, NICs by NUMA node.",
)


def write_svg(path: str, facts: Facts, plan: Plan | None) -> None:
    """Write the picture, replacing an older one. Raises :class:`~ouchi.core.errors.BadInput` when that fails."""
    from ouchi.core.errors import BadInput
    from ouchi.machine.local import LocalMachine
    from ouchi.report.picture.svg import document

    machine = LocalMachine()
    try:
        machine.write(machine.absolute(path), document(facts, plan))
    except OSError as reason:
        raise BadInput.of(
            "the picture cannot be written", where=path, found=str(reason), expected="a file in a folder of yours"
        ) from None
    click.echo(f"drawn: {path}", err=True)
