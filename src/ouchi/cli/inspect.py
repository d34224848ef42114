"""``ouchi inspect``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ouchi.cli.hosted import Output, check_one, host_at, host_options, hosts_of, run_hosts, this_machine
from ouchi.cli.output import echo
from ouchi.cli.picture import svg_option, write_svg
from ouchi.cli.site import read_site_option

if TYPE_CHECKING:
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine import Reader

snapshot_option = click.option(
    "--snapshot",
    type=click.Path(exists=True),
    metavar="PATH",
    help="Another host in place of this machine: an archive that inspect --save wrote, or a folder with its files.",
)


@click.command()
@read_site_option
@host_options
@click.option("--address", metavar="[USER@]HOST[:PORT]", help="A host by ssh, without a site file.")
@snapshot_option
@click.option(
    "--save",
    type=click.Path(dir_okay=False),
    metavar="FILE.tar.gz",
    help="Also save the files that were read, without secrets, for --snapshot.",
)
@svg_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(
    context: click.Context,
    site_file: str,
    names: tuple[str, ...],
    ssh_config: str | None,
    address: str | None,
    snapshot: str | None,
    save: str | None,
    svg_file: str | None,
    as_json: bool,
) -> None:
    """Show the facts of this host, or of each host of the site file: CPUs, memory, NICs, kernel.

    Changes nothing; needs no root.
    """
    import json

    def inspect(host: SiteHost) -> Output:
        return _inspected(host.reader(), save, svg_file, as_json=as_json)

    _check_one_host(snapshot, address, names)
    if snapshot:
        from ouchi.machine.snapshot import open_snapshot

        answer = _inspected(open_snapshot(snapshot), save, svg_file, as_json=as_json)
        click.echo(json.dumps(answer.json, indent=2) if as_json else answer.text)
        return
    by_default = context.get_parameter_source("site_file") is ParameterSource.DEFAULT and not names
    hosts = [host_at(address, ssh_config)] if address else _hosts(site_file, names, ssh_config, by_default=by_default)
    if save or svg_file:
        check_one(hosts)
    context.exit(run_hosts(hosts, inspect, as_json=as_json))


def _inspected(reader: Reader, save: str | None, svg_file: str | None, *, as_json: bool) -> Output:
    from ouchi.facts import collect
    from ouchi.machine.snapshot import Tree
    from ouchi.machine.snapshot.recorder import Recorder
    from ouchi.report.facts import facts_text

    session = reader.probe("session").strip()
    recorder = Recorder(reader, reader.readlink) if isinstance(reader, Tree) else Recorder(reader)
    facts = collect(recorder, session)
    if save:
        from ouchi.machine.snapshot.save import save as save_snapshot

        members = save_snapshot(recorder.noted, save, session)
        click.echo(f"saved {members} files and names of {facts.system.hostname or 'this machine'} in {save}", err=True)
    if svg_file:
        write_svg(svg_file, facts, None)
    return Output("", facts.to_json()) if as_json else Output(facts_text(facts))


def _hosts(site_file: str, names: Sequence[str], ssh_config: str | None, *, by_default: bool) -> list[SiteHost]:
    """The hosts of the site file; a faulty file in the default location is ignored with a message."""
    from ouchi.core.errors import BadInput

    try:
        return hosts_of(site_file, names, ssh_config)
    except BadInput:
        if not by_default:
            raise
        echo(f"{site_file} has errors (shown by ouchi plan): inspecting this host", err=True)
        return [this_machine(site_file)]


def _check_one_host(snapshot: str | None, address: str | None, names: Sequence[str]) -> None:
    from ouchi.core.errors import BadInput

    given = [f"--{name}" for name, value in (("snapshot", snapshot), ("address", address), ("host", names)) if value]
    if len(given) > 1:
        raise BadInput.of("these name different hosts", found=" and ".join(given), expected="one of them")
