"""Change hosts: survey all of them in parallel, ask the user once, then change all of them in parallel."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from ouchi.core.errors import BadInput, Finding, OuchiError, Unhealthy, error
from ouchi.core.events import Timeline
from ouchi.core.instance import LOCK, Instance
from ouchi.flows.hosts import HostResult, Job, run_jobs
from ouchi.flows.site_host import SiteHost
from ouchi.machine import Machine


@dataclass(frozen=True, slots=True)
class Options:
    """``resume``: the command that this machine runs after its reboot; ``ask`` asks the user for a yes or no."""

    dry_run: bool
    yes: bool
    reboot: bool
    resume: tuple[str, ...] = ()
    ask: Callable[[str], bool] = lambda _question: False


@dataclass(frozen=True, slots=True)
class Done:
    """What was done on a host, as JSON, with findings for what could not be done."""

    json: dict[str, Any]
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> int:
        """The exit status."""
        return Unhealthy.status if self.findings else 0


@dataclass
class HostChange(ABC):
    """A change of one host: surveyed, shown, then made. The host is locked from the first to the last.

    ``needed``: whether anything is to be done; ``reboot_reasons``: why a reboot is needed for it.
    """

    host: SiteHost
    instance: Instance
    options: Options
    lock: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, kw_only=True)
    needed: bool = field(default=False, init=False)
    reboot_reasons: tuple[str, ...] = field(default=(), init=False)
    command: ClassVar[str]

    @abstractmethod
    def survey(self) -> None:
        """Find out what is to be changed; set ``needed`` and ``reboot_reasons``. Raises :class:`~ouchi.core.errors.OuchiError`."""

    @abstractmethod
    def text(self) -> str:
        """Show the changes to a person."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The changes as plain JSON."""

    @abstractmethod
    def make(self, timeline: Timeline, stage: str) -> Done:
        """Make the changes. Raises :class:`~ouchi.core.errors.OuchiError`."""

    def begin(self) -> None:
        """Lock the host and survey it. Raises :class:`~ouchi.core.errors.OuchiError`."""
        if not self.options.dry_run:
            self._lock()
        self.survey()

    def wait_for_reboot(self, boot_id: str) -> None:
        """Wait until a remote host has rebooted, and lock it again; ``boot_id`` is that of before."""
        with contextlib.suppress(OuchiError):
            self.lock.close()
        self.host = self.host.after_reboot(boot_id)
        self._lock()

    def interrupt(self) -> None:
        """End the programs that run on the host for ouchi, by its present connection."""
        self.host.machine.interrupt()

    def close(self) -> None:
        """Unlock the host and close the connection."""
        with contextlib.suppress(OuchiError):
            self.lock.close()
        self.host.close()

    def _lock(self) -> None:
        self.lock.enter_context(self.host.machine.hold(LOCK, self.command))


def survey_all(changes: Sequence[HostChange], local: Machine) -> list[HostResult[Any]]:
    """Survey every host; ``local`` is this machine. The errors of a single host are raised."""
    single = len(changes) == 1
    # Which machine each is must be known of all before the first is locked.
    results = _identify(changes, local, single=single)
    due = [change for change, result in zip(changes, results, strict=True) if not result.status]
    surveyed = run_jobs([_job(change, change.begin) for change in due], single=single)
    return [result if result.status else next(surveyed) for result in results]


def make_all(changes: Sequence[HostChange], timeline: Timeline, *, single: bool) -> dict[str, HostResult[Done]]:
    """Make the changes in parallel and return the results by host. The errors of a ``single`` host are raised."""
    stages = ["host" if single else change.host.name for change in changes]
    jobs = [_job(change, partial(change.make, timeline, stage)) for change, stage in zip(changes, stages, strict=True)]
    return {result.name: result for result in run_jobs(jobs, single=single)}


def question(what: str, changes: int, reboots: int, hosts: int) -> str:
    """``make these changes and reboot this host``; of several hosts how many of them."""
    if hosts == 1:
        return what + (" and reboot the host" if reboots else "")
    return f"{what} on {changes} of {hosts} hosts" + (f" and reboot {reboots} of them" if reboots else "")


def _identify(changes: Sequence[HostChange], local: Machine, *, single: bool) -> list[HostResult[Any]]:
    """Connect to all; those that cannot be reached, or are listed twice, have failed."""
    jobs = [_job(change, partial(_identity, change.host.machine)) for change in changes]
    found: list[HostResult[Any]] = list(run_jobs(jobs, single=single))
    hosts = [(change.host, one.result) for change, one in zip(changes, found, strict=True) if one.result]
    reasons = {host.name: finding for host, own in hosts if (finding := _same_host(host, own, hosts, local))}
    if single and reasons:
        raise BadInput(reasons.values())
    return [
        replace(result, status=BadInput.status, findings=(reasons[result.name],)) if result.name in reasons else result
        for result in found
    ]


def _same_host(host: SiteHost, own: str, others: Sequence[tuple[SiteHost, str]], local: Machine) -> Finding | None:
    """Why a host is not changed under this name: it is changed once, and this machine never as a remote host."""
    where = host.site.where("address") if host.site else ""
    same = [other.name for other, theirs in others if other is not host and theirs == own]
    if same:
        return error(
            f"{host.name} and {', '.join(same)} are the same machine",
            where=where,
            found=host.address or "this machine",
            expected="each machine once in the file",
            remedy=f"remove one of them, or choose: --host {host.name}",
        )
    if host.address and own == _identity(local):
        return error(
            f"{host.name} is this machine itself",
            where=where,
            found=host.address,
            expected="no address, so that the interfaces of your session are seen, and ouchi can continue after a reboot",
            remedy="remove the address from the site file, or run ouchi on another machine",
        )
    return None


def _identity(machine: Machine) -> str:
    """What is different for each machine, by whatever address. Clones share the machine ID, containers their host's boot ID."""
    machine_id = ""
    with contextlib.suppress(FileNotFoundError):
        machine_id = machine.read("/etc/machine-id")
    return f"{machine_id.strip()} {machine.read('/proc/sys/kernel/random/boot_id').strip()}"


def _job(change: HostChange, act: Callable[[], Any]) -> Job[Any]:
    return Job(change.host.name, change.host.address, act, change.interrupt)
