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
    help=f"The site file; by default that of the ouchi that is up on this host, else {DEFAULT_SITE}.",
)
@host_options
@click.option("--fix", is_flag=True, help="Fix what is safe to change while the host runs (needs root).")
@click.option("--dry-run", is_flag=True, help="With --fix: show what would be changed; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(
    context: click.Context,
    site_file: str | None,
    names: tuple[str, ...],
    ssh_config: str | None,
    fix: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """What differs from the plan, why it loses packets, what fixes it.

    Reads the live host and changes nothing without --fix. Without root it names what only root can read.

    Exit status: 0 healthy, 4 warnings only, 1 failures, 2 the plan cannot be made.
    """
    if dry_run and not fix:
        raise click.UsageError("--dry-run needs --fix: without it nothing is changed")
    from ouchi.core.instance import Instance
    from ouchi.flows.doctor import site_in_use
    from ouchi.machine.local import LocalMachine

    in_use = "" if site_file or names else site_in_use(LocalMachine(), Instance())
    hosts = [this_machine(in_use)] if in_use else hosts_of(site_file or DEFAULT_SITE, names, ssh_config)
    if fix and any(not host.address for host in hosts):
        from ouchi.machine.privilege import need_root

        need_root()
    context.exit(run_hosts(hosts, lambda host: _examined(host, in_use, fix=fix, dry_run=dry_run), as_json=as_json))


def _examined(host: SiteHost, in_use: str, *, fix: bool, dry_run: bool) -> Output:
    from contextlib import nullcontext

    from ouchi.core.instance import LOCK, Instance
    from ouchi.flows.doctor import examine, fix_and_examine
    from ouchi.plan.load import read_target
    from ouchi.plan.target import Target
    from ouchi.report.doctor import doctor_text

    def target() -> Target:
        return read_target(host.machine, in_use) if in_use else host.target()

    if fix:
        with nullcontext() if dry_run else host.machine.hold(LOCK, "doctor --fix"):
            diagnosis = fix_and_examine(host.machine, Instance(), target, dry_run=dry_run)
    else:
        diagnosis = examine(host.machine, Instance(), target)
    return Output(doctor_text(diagnosis), diagnosis.to_json(), diagnosis.status)
