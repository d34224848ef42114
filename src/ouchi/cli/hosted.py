"""Commands that work on the hosts of a site file: which hosts those are, and one after another what is said of each.

A command gives :func:`run_hosts` a function that takes a :class:`Hosted` and returns a :class:`Said`. It runs in a
thread beside those of the other hosts, so it prints nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ouchi.facts import Facts
    from ouchi.flows.hosts import Job, Outcome
    from ouchi.machine import Machine, Reader
    from ouchi.plan import Style
    from ouchi.plan.target import Target
    from ouchi.site import Site

F = TypeVar("F", bound=Callable[..., Any])

ssh_config_option = click.option(
    "--ssh-config",
    type=click.Path(exists=True, dir_okay=False),
    envvar="OUCHI_SSH_CONFIG",
    metavar="FILE",
    help="ssh's configuration for hosts with an address, in place of the user's own (ssh -F).",
)
host_option = click.option(
    "--host", "names", multiple=True, metavar="NAME", help="Only this host of the site file; may be given again."
)


def host_options(command: F) -> F:
    """``--host`` (as ``names``) and ``--ssh-config``."""
    return host_option(ssh_config_option(command))


def change_options(command: F) -> F:
    """Those of commands that change hosts: ``--dry-run``, ``--yes``, ``--no-reboot``, ``--json``, and the hosts'."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines on stderr, the result on stdout."),
        click.option("--no-reboot", is_flag=True, help="Leave a restart that is needed to you."),
        click.option("--yes", is_flag=True, help="Do not ask: change, and restart where that is needed."),
        click.option("--dry-run", is_flag=True, help="Show what would be changed; change nothing."),
        host_options,
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Said:
    """What a command has to say of a host: as text, as JSON, and the exit status it means."""

    text: str
    json: Any = None
    status: int = 0


@dataclass(frozen=True)
class Hosted:
    """A host of the site file, and the machine to work on it with. ``site`` is None where there is no such file."""

    name: str
    address: str
    site_file: str
    site: Site | None
    machine: Machine

    def reader(self) -> Reader:
        """What its facts are read from: a remote one is asked for all of them at once, now."""
        from ouchi.machine.gather import reader_of

        return reader_of(self.machine)

    def target(self, style: Style | None = None) -> Target:
        """Its facts as they are now, and its plan. Raises :class:`~ouchi.core.errors.BadInput`."""
        from ouchi.plan.load import facts_of, target_of

        return target_of(self.site_file, self.site, facts_of(self.reader()), style)

    def anew(self) -> Facts:
        """Its facts over a connection of their own: whether it is still reached by whoever comes new."""
        from ouchi.machine.gather import reader_of
        from ouchi.machine.ssh.machine import SshMachine
        from ouchi.plan.load import facts_of

        if not isinstance(self.machine, SshMachine):
            return facts_of(self.machine)
        with self.machine.another() as new:
            return facts_of(reader_of(new))

    def back(self, boot_id: str) -> Hosted:
        """The same host once it has restarted; ``boot_id`` is that of before. Raises :class:`~ouchi.core.errors.Failed`."""
        from ouchi.host.reboot import wait_until_back
        from ouchi.machine.ssh.machine import SshMachine

        if not isinstance(self.machine, SshMachine):
            return self
        self.machine.close()
        return replace(self, machine=wait_until_back(self.machine.another, boot_id, self.name))

    def interrupt(self) -> None:
        """End what runs there for us."""
        self.machine.interrupt()

    def close(self) -> None:
        """End the connection, if there is one."""
        from ouchi.machine.ssh.machine import SshMachine

        if isinstance(self.machine, SshMachine):
            self.machine.close()


def hosts_of(site_file: str, names: Sequence[str] = (), ssh_config: str | None = None) -> list[Hosted]:
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
    return [_hosted(site_file, site, ssh_config) for site in sites]


def this_machine(site_file: str) -> Hosted:
    """The machine we are on, without a site."""
    from ouchi.machine.local import LocalMachine

    return Hosted("", "", site_file, None, LocalMachine())


def host_at(address: str, ssh_config: str | None = None) -> Hosted:
    """A host by its address alone. Raises :class:`~ouchi.core.errors.BadInput` for what is none."""
    from ouchi.core.errors import BadInput, error
    from ouchi.machine.ssh.address import FORM, parse_address
    from ouchi.machine.ssh.machine import SshMachine

    try:
        parsed = parse_address(address)
    except ValueError as reason:
        raise BadInput(
            error(f"this is no address: {reason}", where="--address", found=address, expected=FORM)
        ) from None
    return Hosted(str(parsed), str(parsed), "", None, SshMachine(parsed, ssh_config or ""))


def run_hosts(hosts: Sequence[Hosted], work: Callable[[Hosted], Said], *, as_json: bool = False) -> int:
    """Work on all hosts side by side and print what is said of each, in their order; the exit status.

    A single host is said without heading, and its errors are raised as they are. With several, each has its heading,
    errors stand below it, and a summary follows; as JSON it is one object with an entry for each.
    """
    from ouchi.flows.hosts import side_by_side, summary, worst

    if len(hosts) == 1:
        return _alone(hosts[0], work, as_json=as_json)
    outcomes = []
    for outcome in side_by_side([_job(host, work) for host in hosts]):
        outcomes.append(outcome)
        if not as_json:
            _show(outcome)
    if as_json:
        entries = [outcome.to_json(outcome.result.json if outcome.result else None) for outcome in outcomes]
        click.echo(json.dumps({"schema": 1, "hosts": entries}, indent=2))
    else:
        click.echo(summary(outcomes))
    return worst(outcomes)


def _alone(host: Hosted, work: Callable[[Hosted], Said], *, as_json: bool) -> int:
    from ouchi.flows.hosts import alone

    try:
        with alone(host.name):
            said = work(host)
    except BaseException:
        host.interrupt()
        raise
    finally:
        host.close()
    click.echo(json.dumps(said.json, indent=2) if as_json else said.text)
    return said.status


def _job(host: Hosted, work: Callable[[Hosted], Said]) -> Job[Said]:
    from ouchi.flows.hosts import Job

    def whole() -> Said:
        try:
            return work(host)
        finally:
            host.close()

    return Job(host.name, host.address, whole, host.interrupt)


def _show(outcome: Outcome[Said]) -> None:
    from ouchi.cli import show

    click.echo(f"==> {outcome.name} ({outcome.address or 'this machine'}) <==")
    if outcome.result:
        click.echo(outcome.result.text)
    show(*outcome.findings)
    click.echo()


def _hosted(site_file: str, site: Site, ssh_config: str | None) -> Hosted:
    from ouchi.machine.local import LocalMachine
    from ouchi.machine.ssh.machine import SshMachine

    machine = SshMachine(site.address, ssh_config or "") if site.address else LocalMachine()
    return Hosted(site.name, site.address or "", site_file, site, machine)
