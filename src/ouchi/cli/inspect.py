"""``ouchi inspect``."""

from __future__ import annotations

import click

snapshot_option = click.option(
    "--snapshot",
    type=click.Path(file_okay=False, exists=True),
    help="A folder with the files of another host at their absolute paths, in place of this machine.",
)


@click.command()
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def command(snapshot: str | None, as_json: bool) -> None:
    """What this machine is: CPUs, memory, NICs, kernel. Changes nothing; needs no root."""
    import json

    from ouchi.facts import collect
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.snapshot import SnapshotReader
    from ouchi.report.facts import facts_text
    from ouchi.wanted import session_address

    facts = collect(SnapshotReader(snapshot)) if snapshot else collect(LocalMachine(), session_address())
    click.echo(json.dumps(facts.to_json(), indent=2) if as_json else facts_text(facts))
