"""``ouchi support-bundle``."""

from __future__ import annotations

import click

from ouchi.cli.output import echo
from ouchi.cli.site import read_site_option


@click.command("support-bundle")
@read_site_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE.tar.gz",
    help="The file to write; by default a new one in the current folder, named after the time.",
)
@click.option("--json", "as_json", is_flag=True, help="The list of contents as JSON.")
def command(site_file: str, output: str | None, as_json: bool) -> None:
    """Collect what a bug report needs in one archive: status, doctor, plan, snapshot, journals, logs, versions.

    Passwords, keys, serial numbers, MAC and global IP addresses are replaced as in snapshots. Changes nothing. Works
    without root and when ouchi is not up; what is missing then is listed.
    """
    import json
    import os
    from datetime import datetime

    from ouchi.core.instance import Instance
    from ouchi.flows.support_bundle import collect_bundle, require_free, write_bundle
    from ouchi.machine.local import LocalMachine

    machine, root = LocalMachine(), os.geteuid() == 0
    path = machine.absolute(output or f"ouchi-support-{datetime.now().astimezone():%Y%m%d-%H%M%S}.tar.gz")
    require_free(machine, path)
    bundle = collect_bundle(machine, Instance(), machine.absolute(site_file), root)
    write_bundle(machine, bundle, path)
    if as_json:
        click.echo(json.dumps({"path": path, **bundle.to_json()}, indent=2))
        return
    width = max(len(name) for name in (*bundle.files, *bundle.missing))
    for name, content in bundle.files.items():
        click.echo(f"  {name:<{width}}  {len(content):>9,} bytes")
    for name, reason in sorted(bundle.missing.items()):
        click.echo(f"  {name:<{width}}  missing: {reason}")
    if not root:
        echo("as root (sudo ouchi support-bundle) it has more")
    click.echo(f"wrote {path}: look into it before you give it away")
