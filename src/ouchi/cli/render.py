"""``ouchi render``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from ouchi.cli.choice import Choice
from ouchi.cli.planned import check_plan_alone, plan_option, planned_options, read_all_planned
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
    type=Choice([*TARGETS, ALL]),
    multiple=True,
    required=True,
    help=f"What to render to (below), or {ALL}; may be given several times.",
)
@click.option(
    "-o", "folder", metavar="DIR", type=click.Path(file_okay=False), help="Write files, a folder for each target."
)
@plan_option
@planned_options
def command(
    targets: tuple[str, ...],
    folder: str | None,
    site_file: str,
    names: tuple[str, ...],
    ssh_config: str | None,
    snapshot: str | None,
    choose: str | None,
    plan_file: str | None,
) -> None:
    """Print the plan as configuration of other tools, or write it as files. Needs no root.

    Several hosts have a folder each; kolla-ansible and openstack-ansible are one set of files for all of them. Only DIR
    is written to; a file there that ouchi did not write, or wrote for another host, is never replaced.
    """
    from ouchi.machine.local import LocalMachine
    from ouchi.plan.load import read_plan
    from ouchi.render.targets import render_several

    if plan_file:
        check_plan_alone()
        hosts = [read_plan(LocalMachine(), plan_file)]
    else:
        hosts = read_all_planned(site_file, names, ssh_config, snapshot, choose)
    found = render_several(hosts, TARGETS if ALL in targets else targets)
    files = {f"{name}/{file.path}": file for name, made in found.items() for file in made}
    for line in _written(LocalMachine(), folder, files) if folder else _shown(files):
        click.echo(line)


def _shown(files: dict[str, Rendered]) -> Iterator[str]:
    """The texts, one alone as it is, so that it can be piped on, several with their paths as head(1) shows them."""
    for path, file in files.items():
        yield file.text.rstrip("\n") if len(files) == 1 else f"==> {path} <==\n{file.text}"


def _written(machine: LocalMachine, folder: str, files: dict[str, Rendered]) -> Iterable[str]:
    """Write the files and report each as written or unchanged. Raises :class:`BadInput` before anything is written."""
    from ouchi.core.errors import BadInput, error
    from ouchi.machine.owners import require_own
    from ouchi.render.files import host_of, ours

    top = machine.absolute(folder)
    for path in files:
        require_own(f"{top}/{path}")
    there = {path: machine.read(f"{top}/{path}") for path in files if machine.exists(f"{top}/{path}")}
    if strangers := [path for path, text in there.items() if not ours(text) and text != files[path].text]:
        raise BadInput(
            error(
                "a file exists that ouchi did not write",
                where=f"{top}/{path}",
                expected="no file, or one that ouchi render wrote",
                remedy="another folder, or move it away",
            )
            for path in strangers
        )
    if others := [path for path, text in there.items() if ours(text) and host_of(text) != host_of(files[path].text)]:
        raise BadInput(
            error(
                "a file for another host exists",
                where=f"{top}/{path}",
                found=f"one for {host_of(there[path]) or 'an unknown host'}",
                expected=f"no file, or one for {host_of(files[path].text)}",
                remedy="another folder; or all hosts at once: a site file with hosts, without --host",
            )
            for path in others
        )
    try:
        for path, file in files.items():
            if there.get(path) == file.text:
                yield f"{path}: unchanged"
                continue
            machine.make_folder(f"{top}/{path}".rpartition("/")[0])
            machine.write(f"{top}/{path}", file.text, mode=file.mode)
            yield f"{path}: written"
    except OSError as reason:
        raise BadInput.of(
            "the files cannot be written", where=top, found=str(reason), expected="a folder of yours"
        ) from None
