"""Commands that work on the hosts of a site file: their options, the choice of hosts, and the output for each.

A command passes :func:`run_hosts` a function from a :class:`~ouchi.flows.site_host.SiteHost` to an :class:`Output`. It
runs in a thread beside those of other hosts, so it prints nothing itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ouchi.cli.choice import completing, host_names

if TYPE_CHECKING:
    from ouchi.flows.hosts import HostResult, Job
    from ouchi.flows.site_host import SiteHost
    from ouchi.site import Site

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def host_options(command: F) -> F:
    """``--host`` (as ``names``) and ``--ssh-config``."""
    command = click.option(
        "--ssh-config",
        type=click.Path(exists=True, dir_okay=False),
        envvar="OUCHI_SSH_CONFIG",
        metavar="FILE",
        help="The ssh configuration for hosts with an address, in place of your own (ssh -F).",
    )(command)
    text = "Only this host of the site file; may be repeated."
    return click.option(
        "--host", "names", multiple=True, metavar="NAME", help=text, shell_complete=completing(host_names)
    )(command)


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
    from ouchi.machine.local import LocalMachine
    from ouchi.site import choose, read_sites, several

    local = LocalMachine()
    if not local.exists(site_file) and not names:
        return [this_machine(site_file)]
    sites = choose(read_sites(local, site_file), names)
    if sum(site.address is None for site in sites) > 1:
        raise BadInput(several(sites))
    return [host_of(site, site_file, ssh_config) for site in sites]


def local_host(hosts: Sequence[SiteHost], site_file: str) -> SiteHost:
    """The one that is this machine. Raises :class:`~ouchi.core.errors.BadInput` where there is none."""
    from ouchi.core.errors import BadInput

    if found := next((host for host in hosts if not host.address), None):
        return found
    raise BadInput.of(
        "no host of the site file is this machine",
        where=site_file,
        found=", ".join(host.address for host in hosts),
        expected="a host without an address",
        remedy="run it on one of those hosts",
    )


def this_machine(site_file: str) -> SiteHost:
    """This machine, without a site."""
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine.local import LocalMachine

    return SiteHost("", "", site_file, None, LocalMachine())


def host_of(site: Site, site_file: str, ssh_config: str | None) -> SiteHost:
    """The host of a site, from a site file or a saved plan."""
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.ssh.machine import SshMachine

    machine = SshMachine(site.address, ssh_config or "") if site.address else LocalMachine()
    return SiteHost(site.name, site.address or "", site_file, site, machine)


def host_at(address: str, ssh_config: str | None = None) -> SiteHost:
    """A host by its address, without a site. Raises :class:`~ouchi.core.errors.BadInput`."""
    from ouchi.core.errors import BadInput
    from ouchi.flows.site_host import SiteHost
    from ouchi.machine.ssh.address import FORM, parse_address
    from ouchi.machine.ssh.machine import SshMachine

    try:
        parsed = parse_address(address)
    except ValueError as reason:
        raise BadInput.of(f"not an address: {reason}", where="--address", found=address, expected=FORM) from None
    return SiteHost(str(parsed), str(parsed), "", None, SshMachine(parsed, ssh_config or ""))


def check_one(hosts: Sequence[SiteHost]) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` for several hosts."""
    from ouchi.core.errors import BadInput
    from ouchi.site import several

    if len(hosts) > 1:
        raise BadInput(several([host.site for host in hosts if host.site]))


def run_hosts(hosts: Sequence[SiteHost], work: Callable[[SiteHost], Output], *, as_json: bool = False) -> int:
    """Work on all hosts in parallel and print the output of each, in their order; return the exit status.

    A single host has no heading, and its errors are raised. Several have a heading each with their errors below, and a
    summary follows; as JSON it is one object with an entry for each.
    """
    from ouchi.flows.hosts import exit_status, run_jobs, summary

    results, single = [], len(hosts) == 1
    for result in run_jobs([job_of(host, work) for host in hosts], single=single):
        results.append(result)
        if not as_json:
            print_host(result, result.result.text if result.result else None, single=single)
    if as_json:
        print_json(results, {one.name: one.result.json for one in results if one.result}, single=single)
    elif not single:
        click.echo(summary(results))
    return exit_status(results)


def job_of(host: SiteHost, work: Callable[[SiteHost], T]) -> Job[T]:
    """The work on a host, whose connection is closed after it."""
    from ouchi.flows.hosts import Job

    def run() -> T:
        with contextlib.closing(host):
            return work(host)

    return Job(host.name, host.address, run, host.machine.interrupt)


def print_host(result: HostResult[Any], text: str | None, *, single: bool) -> None:
    """Print the text of a host's result; of several hosts with a heading and the findings."""
    from ouchi.cli import show

    if not single:
        click.echo(f"==> {result.name} ({result.address or 'this machine'}) <==")
    if text is not None:
        click.echo(text)
    if not single:
        show(*result.findings)
        click.echo()


def print_json(results: Sequence[HostResult[Any]], shown: Mapping[str, Any], *, single: bool) -> None:
    """Print the results as JSON, each as ``shown`` by host; of several hosts one object with an entry for each."""
    entries = [result.to_json(shown.get(result.name)) for result in results]
    click.echo(json.dumps(shown[results[0].name] if single else {"schema": 1, "hosts": entries}, indent=2))
