"""Commands that work on the hosts of a site file: their options, the choice of hosts, and the output for each.

A command passes :func:`run_hosts` a function from a :class:`~ouchi.flows.site_host.SiteHost` to an :class:`Output`. It
runs in a thread beside those of other hosts, so it prints nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ouchi.flows.hosts import HostResult, Job
    from ouchi.flows.site_host import SiteHost
    from ouchi.plan.target import Target

F = TypeVar("F", bound=Callable[..., Any])

ssh_config_option = click.option(
    "--ssh-config",
    type=click.Path(exists=True, dir_okay=False),
    envvar="OUCHI_SSH_CONFIG",
    metavar="FILE",
    help="The ssh configuration for hosts with an address, in place of your own (ssh -F).",
)
host_option = click.option(
    "--host", "names", multiple=True, metavar="NAME", help="Only this host of the site file; may be repeated."
)


def host_options(command: F) -> F:
    """``--host`` (as ``names``) and ``--ssh-config``."""
    return host_option(ssh_config_option(command))


def change_options(command: F) -> F:
    """The options of commands that change hosts: ``--dry-run``, ``--yes``, ``--no-reboot``, ``--json``, the hosts'."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the result on stdout."),
        click.option("--no-reboot", is_flag=True, help="Do not reboot where a reboot is needed."),
        click.option("--yes", is_flag=True, help="Do not ask: change, and reboot where that is needed."),
        click.option("--dry-run", is_flag=True, help="Show what would be changed; change nothing."),
        host_options,
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a command for one host: as text, as JSON, and its exit status."""

    text: str
    json: Any = None
    status: int = 0


def hosts_of(site_file: str, names: Sequence[str] = (), ssh_config: str | None = None) -> list[SiteHost]:
    """The chosen hosts of a site file, or this machine where there is no such file.

    A host without an address is this machine. Raises :class:`~ouchi.core.errors.BadInput`.
    """
    from ouchi.core.errors import BadInput
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.ssh.machine import SshMachine
    from ouchi.site import choose, read_sites, several

    local = LocalMachine()
    if not local.exists(site_file) and not names:
        return [this_machine(site_file)]
    sites = choose(read_sites(local, site_file), names)
    if sum(site.address is None for site in sites) > 1:
        raise BadInput(several(sites))
    return [
        SiteHost(
            site.name,
            site.address or "",
            site_file,
            site,
            SshMachine(site.address, ssh_config or "") if site.address else local,
        )
        for site in sites
    ]


def this_machine(site_file: str) -> SiteHost:
    """This machine, without a site."""
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine.local import LocalMachine

    return SiteHost("", "", site_file, None, LocalMachine())


def planned_host(target: Target, ssh_config: str | None = None) -> SiteHost:
    """The host of a saved plan."""
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.ssh.machine import SshMachine

    site = target.site
    machine = SshMachine(site.address, ssh_config or "") if site.address else LocalMachine()
    return SiteHost(site.name, site.address or "", target.site_file, site, machine)


def host_at(address: str, ssh_config: str | None = None) -> SiteHost:
    """A host by its address, without a site. Raises :class:`~ouchi.core.errors.BadInput`."""
    from ouchi.core.errors import BadInput, error
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine.ssh.address import FORM, parse_address
    from ouchi.machine.ssh.machine import SshMachine

    try:
        parsed = parse_address(address)
    except ValueError as reason:
        raise BadInput(error(f"not an address: {reason}", where="--address", found=address, expected=FORM)) from None
    return SiteHost(str(parsed), str(parsed), "", None, SshMachine(parsed, ssh_config or ""))


def run_hosts(hosts: Sequence[SiteHost], work: Callable[[SiteHost], Output], *, as_json: bool = False) -> int:
    """Work on all hosts in parallel and print the output of each, in their order; return the exit status.

    A single host has no heading, and its errors are raised. Several have a heading each with their errors below, and a
    summary follows; as JSON it is one object with an entry for each.
    """
    from ouchi.flows.hosts import exit_status, run_jobs, summary

    if len(hosts) == 1:
        return _run_single(hosts[0], work, as_json=as_json)
    results = []
    for result in run_jobs([_job(host, work) for host in hosts]):
        results.append(result)
        if not as_json:
            _print(result)
    if as_json:
        entries = [result.to_json(result.result.json if result.result else None) for result in results]
        click.echo(json.dumps({"schema": 1, "hosts": entries}, indent=2))
    else:
        click.echo(summary(results))
    return exit_status(results)


def _run_single(host: SiteHost, work: Callable[[SiteHost], Output], *, as_json: bool) -> int:
    from ouchi.flows.hosts import single_host

    try:
        with single_host(host.name):
            output = work(host)
    except BaseException:
        host.interrupt()
        raise
    finally:
        host.close()
    click.echo(json.dumps(output.json, indent=2) if as_json else output.text)
    return output.status


def _job(host: SiteHost, work: Callable[[SiteHost], Output]) -> Job[Output]:
    from ouchi.flows.hosts import Job

    def run() -> Output:
        try:
            return work(host)
        finally:
            host.close()

    return Job(host.name, host.address, run, host.interrupt)


def _print(result: HostResult[Output]) -> None:
    from ouchi.cli import show

    click.echo(f"==> {result.name} ({result.address or 'this machine'}) <==")
    if result.result:
        click.echo(result.result.text)
    show(*result.findings)
    click.echo()
