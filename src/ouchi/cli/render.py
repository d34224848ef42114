"""``ouchi render``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from ouchi.cli.planned import planned_options, read_planned
from ouchi.render.targets import TARGETS

if TYPE_CHECKING:
    from ouchi.machine.local import LocalMachine
    from ouchi.render.files import Rendered

ALL = "all"


@click.command(epilog="Targets: " + "; ".join(f"{name}: {what}" for name, what in TARGETS.items()) + ".")
@click.option(
    "--to",
    "targets",
    metavar="TARGET",
    type=click.Choice([*TARGETS, ALL]),
    multiple=True,
    required=True,
    help=f"What to render to (below), or {ALL}; may be given several times.",
)
@click.option(
    "-o", "folder", metavar="DIR", type=click.Path(file_okay=False), help="Write files, a folder for each target."
)
@planned_options
def command(
    targets: tuple[str, ...],
    folder: str | None,
    site_file: str,
    names: tuple[str, ...],
    ssh_config: str | None,
    snapshot: str | None,
    choose: str | None,
) -> None:
    """The plan as configuration of other tools, on the terminal or as files. Needs no root.

    Nothing but DIR is written to; a file there that ouchi did not write is never replaced.
    """
    from ouchi.machine.local import LocalMachine
    from ouchi.render.targets import render

    wanted = read_planned(site_file, names, ssh_config, snapshot, choose)
    found = render(wanted, TARGETS if ALL in targets else targets)
    files = {f"{target}/{file.path}": file for target, made in found.items() for file in made}
    for line in _written(LocalMachine(), folder, files) if folder else _shown(files):
        click.echo(line)


def _shown(files: dict[str, Rendered]) -> Iterator[str]:
    """The texts, one alone as it is, so that it can be piped on, several with their paths as head(1) shows them."""
    for path, file in files.items():
        yield file.text.rstrip("\n") if len(files) == 1 else f"==> {path} <==\n{file.text}"


def _written(machine: LocalMachine, folder: str, files: dict[str, Rendered]) -> Iterable[str]:
    """Write the files and say of each what became of it. Raises :class:`BadInput` before anything is written."""
    from ouchi.core.errors import BadInput, error
    from ouchi.render.files import ours

    top = machine.absolute(folder)
    there = {path: machine.read(f"{top}/{path}") for path in files if machine.exists(f"{top}/{path}")}
    if strangers := [path for path, text in there.items() if not ours(text) and text != files[path].text]:
        raise BadInput(
            error(
                "a file is in the way that ouchi did not write",
                where=f"{top}/{path}",
                expected="no file, or one that ouchi render wrote",
                remedy="another folder, or move it away",
            )
            for path in strangers
        )
    try:
        for path, file in files.items():
            if there.get(path) == file.text:
                yield f"{path}: as it was"
                continue
            machine.make_folder(f"{top}/{path}".rpartition("/")[0])
            machine.write(f"{top}/{path}", file.text, mode=file.mode)
            yield f"{path}: written"
    except OSError as reason:
        raise BadInput(
            error("the files cannot be written", where=top, found=str(reason), expected="a folder of yours")
        ) from None
