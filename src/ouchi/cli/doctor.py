"""``ouchi doctor``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ouchi.cli.hosted import Output, host_of, host_options, hosts_of, run_hosts, this_machine
from ouchi.cli.planned import check_plan_alone, plan_option
from ouchi.cli.site import DEFAULT_SITE, live_site_option

if TYPE_CHECKING:
    from ouchi.flows.site_host import SiteHost
    from ouchi.plan.target import Target

    TargetOf = Callable[[SiteHost], Target]


@click.command()
@live_site_option
@plan_option
@host_options
@click.option("--fix", is_flag=True, help="Fix what is safe to change while the host runs (needs root).")
@click.option("--dry-run", is_flag=True, help="With --fix: show what would be changed; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_context
def command(
    context: click.Context,
    site_file: str | None,
    plan_file: str | None,
    names: tuple[str, ...],
    ssh_config: str | None,
    fix: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show what differs from the plan, why it loses packets, and how to fix it.

    Reads the live host and changes nothing without --fix. Without root it names what only root can read.

    Exit status: 0 healthy, 4 warnings only, 1 failures or an essential check is unknown, 2 the plan cannot be made.
    """
    if dry_run and not fix:
        raise click.UsageError("--dry-run needs --fix: without it nothing is changed")
    if plan_file:
        check_plan_alone()
        hosts, target = _planned(plan_file, ssh_config)
    else:
        hosts, target = of_site(site_file, names, ssh_config)
    if fix and any(not host.address for host in hosts):
        from ouchi.machine.privilege import need_root

        need_root()
    context.exit(run_hosts(hosts, lambda host: _examined(host, target, fix=fix, dry_run=dry_run), as_json=as_json))


def _planned(plan_file: str, ssh_config: str | None) -> tuple[list[SiteHost], TargetOf]:
    """Return the host of a saved plan, and the plan with the host's present facts."""
    from ouchi.machine.local import LocalMachine
    from ouchi.plan.load import facts_of, read_plan
    from ouchi.plan.same_host import on_host

    saved = read_plan(LocalMachine(), plan_file)
    return [host_of(saved.site, saved.site_file, ssh_config)], lambda host: on_host(saved, facts_of(host.reader()))


def of_site(site_file: str | None, names: tuple[str, ...], ssh_config: str | None) -> tuple[list[SiteHost], TargetOf]:
    """Return the hosts of the site file, else this one with the site file in use, and how their plans are made."""
    from ouchi.core.instance import Instance
    from ouchi.flows.doctor import site_in_use
    from ouchi.machine.local import LocalMachine
    from ouchi.plan.load import read_target

    if not site_file and not names and (in_use := site_in_use(LocalMachine(), Instance())):
        return [this_machine(in_use)], lambda host: read_target(host.machine, in_use, fit=False)
    return hosts_of(site_file or DEFAULT_SITE, names, ssh_config), lambda host: host.target(fit=False)


def _examined(host: SiteHost, target_of: TargetOf, *, fix: bool, dry_run: bool) -> Output:
    from ouchi.core.instance import Instance
    from ouchi.flows.doctor import examine, examine_and_fix, examine_and_preview
    from ouchi.report.doctor import doctor_text

    flow = examine if not fix else examine_and_preview if dry_run else examine_and_fix
    diagnosis = flow(host.machine, Instance(), lambda: target_of(host))
    return Output(doctor_text(diagnosis), diagnosis.to_json(), diagnosis.status)
