"""``ouchi doctor``."""

from __future__ import annotations

import click

from ouchi.cli.site import DEFAULT_SITE


@click.command()
@click.option(
    "--site",
    "site_file",
    type=click.Path(dir_okay=False),
    envvar="OUCHI_SITE",
    help=f"The site file; by default the one of the ouchi that is up here, else {DEFAULT_SITE}.",
)
@click.option("--fix", is_flag=True, help="Also mend what is safe while the host runs (needs root).")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(context: click.Context, site_file: str | None, fix: bool, as_json: bool) -> None:
    """What differs from the plan, why it loses packets, what mends it.

    Looks at the live host and changes nothing without --fix. Without root it says what only root sees.

    Exit status: 0 healthy, 4 warnings only, 1 failures, 2 the plan cannot be made.
    """
    if fix:
        from ouchi.machine.privilege import need_root

        need_root()
    import json
    from dataclasses import replace

    from ouchi.doctor import examine, site_of
    from ouchi.doctor.fix import fix as mend
    from ouchi.instance import Instance
    from ouchi.machine.local import LocalMachine
    from ouchi.report.doctor import doctor_text

    machine, instance = LocalMachine(), Instance()
    site = site_file or site_of(machine, instance, DEFAULT_SITE)
    diagnosis = examine(machine, instance, site)
    if fix:
        mended = mend(machine, diagnosis.troubles)
        # Looked at again: what was mended is seen, not believed.
        diagnosis = replace(examine(machine, instance, site), mended=mended)
    click.echo(json.dumps(diagnosis.to_json(), indent=2) if as_json else doctor_text(diagnosis))
    context.exit(diagnosis.status)
