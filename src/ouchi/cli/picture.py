"""The option that asks for the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ouchi.facts import Facts
    from ouchi.plan import Plan
    from ouchi.plan.target import Target

svg_option = click.option(
    "--svg",
    "svg_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also draw it: cores by socket and cache, NICs by NUMA node.",
)


def check_svg(path: str) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` for a name that asks for another format."""
    from ouchi.core.errors import BadInput

    form = path.rpartition(".")[2].lower()
    if form in ("png", "jpg", "jpeg", "gif", "webp", "pdf"):
        svg = f"{path[: -len(form)]}svg"
        raise BadInput.of(
            "pictures are SVG",
            where=path,
            found=form.upper(),
            expected=svg,
            remedy=f"draw {svg}, then: rsvg-convert -z 2 -o {path} {svg} (package librsvg2-bin)",
        )


def write_svg(path: str, facts: Facts, plan: Plan | None) -> None:
    """Write the picture, replacing an older one. Raises :class:`~ouchi.core.errors.BadInput` when that fails."""
    from ouchi.cli.output import write_output
    from ouchi.report.picture.svg import document

    check_svg(path)
    write_output(path, document(facts, plan), "drawn")


def write_topology(path: str, target: Target) -> None:
    """Write the picture of its networks, as :func:`write_svg` does."""
    from ouchi.cli.output import write_output
    from ouchi.report.picture.svg import topology_document

    check_svg(path)
    write_output(path, topology_document(target), "drawn")
