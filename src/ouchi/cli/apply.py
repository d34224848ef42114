"""``ouchi apply``."""

from __future__ import annotations

import click

from ouchi.cli.hosted import change_options
from ouchi.cli.planned import check_plan_alone, plan_option
from ouchi.cli.site import read_site_option


@click.command()
@read_site_option
@plan_option
@change_options
@click.pass_context
def command(
    context: click.Context,
    site_file: str,
    plan_file: str | None,
    names: tuple[str, ...],
    ssh_config: str | None,
    dry_run: bool,
    yes: bool,
    no_reboot: bool,
    as_json: bool,
) -> None:
    """Apply the plan to hosts: kernel parameters, hugepages, isolated CPUs, NICs, services. ouchi undo restores them.

    Shows every change first. The NIC that carries your session is never touched; when a host is no longer reached
    afterwards, all changes are rolled back. Run it again to continue.
    """
    from ouchi.cli.changes import APPLY, resumed, run_changes
    from ouchi.cli.hosted import host_of, hosts_of
    from ouchi.core.instance import Instance
    from ouchi.flows.apply import Apply
    from ouchi.flows.several_hosts import Options
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.privilege import need_root
    from ouchi.plan.load import read_plan

    local, saved = LocalMachine(), None
    resume = ["apply", "--yes"]
    if plan_file:
        check_plan_alone()
        saved = read_plan(local, local.absolute(plan_file))
        hosts = [host_of(saved.site, saved.site_file, ssh_config)]
        resume += ["--plan", local.absolute(plan_file)]
    else:
        hosts = hosts_of(site_file, names, ssh_config)
        resume += ["--site", local.absolute(site_file), *(f"--host={name}" for name in names)]
    if any(not host.address for host in hosts):
        need_root()
    options = Options(dry_run, yes, not no_reboot, resumed(*resume), click.confirm)
    context.exit(run_changes([Apply(host, Instance(), options, saved=saved) for host in hosts], APPLY, as_json=as_json))
