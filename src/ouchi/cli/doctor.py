"""``ouchi doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ouchi.cli.hosted import Output, host_options, hosts_of, run_hosts, this_machine
from ouchi.cli.site import DEFAULT_SITE

if TYPE_CHECKING:
    from ouchi.flows.site_host import SiteHost


@click.command()
@click.option(
    "--site",
    "site_file",
    type=click.Path(dir_okay=False),
    envvar="OUCHI_SITE",
    help=f"The site file; by default the one of the ouchi that is up here, else {DEFAULT_SITE}.",
)
@host_options
@click.option("--fix", is_flag=True, help="Also mend what is safe while the host runs (needs root).")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(
    context: click.Context,
    site_file: str | None,
    names: tuple[str, ...],
    ssh_config: str | None,
    fix: bool,
    as_json: bool,
) -> None:
    """What differs from the plan, why it loses packets, what mends it.

    Looks at the live host and changes nothing without --fix. Without root it says what only root sees.

    Exit status: 0 healthy, 4 warnings only, 1 failures, 2 the plan cannot be made.
    """
    from ouchi.core.instance import Instance
    from ouchi.flows.doctor import kept_here
    from ouchi.machine.local import LocalMachine

    kept = "" if site_file or names else kept_here(LocalMachine(), Instance())
    hosts = [this_machine(kept)] if kept else hosts_of(site_file or DEFAULT_SITE, names, ssh_config)
    if fix and any(not host.address for host in hosts):
        from ouchi.machine.privilege import need_root

        need_root()
    context.exit(run_hosts(hosts, lambda host: _examined(host, kept, fix=fix), as_json=as_json))


def _examined(host: SiteHost, kept: str, *, fix: bool) -> Output:
    from dataclasses import replace

    from ouchi.checks.fix import fix as mend
    from ouchi.core.instance import Instance
    from ouchi.flows.doctor import Diagnosis, examine
    from ouchi.plan.load import read_target
    from ouchi.plan.target import Target
    from ouchi.report.doctor import doctor_text

    def target() -> Target:
        return read_target(host.machine, kept) if kept else host.target()

    def look() -> Diagnosis:
        return examine(host.machine, Instance(), target)

    diagnosis = look()
    if fix:
        mended = mend(host.machine, diagnosis.troubles)
        # Looked at again: what was mended is seen, not believed.
        diagnosis = replace(look(), mended=mended)
    return Output(doctor_text(diagnosis), diagnosis.to_json(), diagnosis.status)
