"""``ouchi inspect``."""

from __future__ import annotations

import click

from ouchi.cli.picture import svg_option, write_svg

snapshot_option = click.option(
    "--snapshot",
    type=click.Path(exists=True),
    metavar="PATH",
    help="Another host in place of this machine: an archive that inspect --save wrote, or a folder with its files.",
)


@click.command()
@snapshot_option
@click.option(
    "--save",
    type=click.Path(dir_okay=False),
    metavar="FILE.tar.gz",
    help="Also save the files that were read, without secrets, for --snapshot.",
)
@svg_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def command(snapshot: str | None, save: str | None, svg_file: str | None, as_json: bool) -> None:
    """What this machine is: CPUs, memory, NICs, kernel. Changes nothing; needs no root."""
    import json

    from ouchi.facts import collect
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.snapshot import open_snapshot
    from ouchi.machine.snapshot.recorder import Recorder
    from ouchi.report.facts import facts_text
    from ouchi.wanted import session_address

    if snapshot:
        tree = open_snapshot(snapshot)
        session = tree.probe("session").strip()
        reader = Recorder(tree, tree.readlink)
    else:
        session = session_address()
        reader = Recorder(LocalMachine())
    facts = collect(reader, session)
    if save:
        from ouchi.machine.snapshot.save import save as save_snapshot

        members = save_snapshot(reader.noted, save, session)
        click.echo(f"saved {members} files and names of {facts.system.hostname or 'this machine'} in {save}", err=True)
    if svg_file:
        write_svg(svg_file, facts, None)
    click.echo(json.dumps(facts.to_json(), indent=2) if as_json else facts_text(facts))
