"""What ``apply`` and ``undo`` share: looking at all hosts side by side, asking once, working on all, a summary."""

from __future__ import annotations

import contextlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import click

from ouchi.cli.once import refusal
from ouchi.cli.running import LOCK, timeline_of
from ouchi.core.errors import BadInput, Declined, Finding, OuchiError, Unhealthy, error
from ouchi.core.events import Timeline
from ouchi.flows.hosts import HostResult, Job, exit_status, run_jobs, single_host, summary
from ouchi.flows.site_host import SiteHost
from ouchi.machine.identity import identity


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the user wants it done. ``go_on``: the command that this machine is to run after its restart."""

    dry_run: bool
    yes: bool
    restart: bool
    go_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What was done, as JSON, and findings where something is not as asked."""

    json: dict[str, Any]
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> int:
        """The exit status."""
        return Unhealthy.status if self.findings else 0


@dataclass
class Work(ABC):
    """Something to be done on a host: looked at, shown, then made. The host is held from the first to the last."""

    hosted: SiteHost
    wishes: Wishes
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, kw_only=True)
    doing: ClassVar[str]

    @abstractmethod
    def see(self) -> None:
        """Find out what is to be done. Raises :class:`~ouchi.core.errors.OuchiError`."""

    @abstractmethod
    def text(self) -> str:
        """What is to be done, for a person."""

    @abstractmethod
    def json(self) -> dict[str, Any]:
        """The same as plain JSON."""

    @abstractmethod
    def due(self) -> tuple[bool, bool]:
        """Whether there is anything to do, and whether the host must be restarted for it."""

    @abstractmethod
    def make(self, timeline: Timeline, stage: str) -> Made:
        """Do it, and emit what is not as asked as a note. Raises :class:`~ouchi.core.errors.OuchiError`."""

    def look(self) -> None:
        """Hold the host and see. Raises :class:`~ouchi.core.errors.OuchiError`."""
        if not self.wishes.dry_run:
            self._hold()
        self.see()

    def wait_until_back(self, boot_id: str) -> None:
        """Wait for a remote host that restarts, and hold it again; ``boot_id`` is that of before."""
        with contextlib.suppress(OuchiError):
            self.held.close()
        self.hosted = self.hosted.after_reboot(boot_id)
        self._hold()

    def close(self) -> None:
        """Let the host go."""
        with contextlib.suppress(OuchiError):
            self.held.close()
        self.hosted.close()

    def _hold(self) -> None:
        self.held.enter_context(self.hosted.machine.hold(LOCK, self.doing))


def run_all(works: Sequence[Work], what: str, *, as_json: bool) -> int:
    """Look at all, show, ask once, do. ``what`` is what the user is asked about. Returns the exit status."""
    wishes = works[0].wishes
    with contextlib.ExitStack() as closing:
        for work in works:
            closing.callback(work.close)
        looked = _look_at_all(works, as_json=as_json)
        if wishes.dry_run:
            return _told(looked, as_json=as_json)
        todo = [work for work in looked.good if work.due()[0]]
        if todo:
            restarts = sum(work.due()[1] for work in todo) if wishes.restart else 0
            consent(question(what, len(todo), restarts, len(works)), wishes)
        return _work_on_all(looked, todo, as_json=as_json)


def question(what: str, changes: int, restarts: int, hosts: int) -> str:
    """``make these changes and restart the machine``; of several hosts how many of them."""
    if hosts == 1:
        return what + (" and restart the machine" if restarts else "")
    return f"{what} on {changes} of {hosts} hosts" + (f" and restart {restarts} of them" if restarts else "")


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of looking: an outcome for each host (none for a single one), and the work that can be done."""

    works: tuple[Work, ...]
    outcomes: tuple[HostResult[Any], ...]
    good: tuple[Work, ...]


def _look_at_all(works: Sequence[Work], *, as_json: bool) -> Looked:
    """Look at every host and show it. A single host's errors are raised as they are."""
    if len(works) == 1:
        [work] = works
        with single_host(work.hosted.name):
            if work.hosted.address and (finding := refusal(work.hosted, identity(work.hosted.machine), ())):
                raise BadInput(finding)
            work.look()
        if not as_json:
            click.echo(work.text())
        return Looked(tuple(works), (), tuple(works))
    # Which machine each is must be known of all before the first is held.
    outcomes = _each_once(works)
    looking = run_jobs(
        [_job(work, work.look) for work, outcome in zip(works, outcomes, strict=True) if not outcome.status]
    )
    for number, work in enumerate(works):
        if not outcomes[number].status:
            outcomes[number] = next(looking)
        if not as_json:
            _show(outcomes[number], "" if outcomes[number].status else work.text())
    good = tuple(work for work, outcome in zip(works, outcomes, strict=True) if not outcome.status)
    return Looked(tuple(works), tuple(outcomes), good)


def _each_once(works: Sequence[Work]) -> list[HostResult[Any]]:
    """Connect to all; those that cannot be reached, or are a machine that is not to be changed by this name, have failed."""
    jobs = [_job(work, partial(identity, work.hosted.machine)) for work in works]
    found: list[HostResult[Any]] = list(run_jobs(jobs))
    hosts = [(work.hosted, outcome.result) for work, outcome in zip(works, found, strict=True) if outcome.result]
    reasons = {host.name: finding for host, own in hosts if (finding := refusal(host, own, hosts))}
    return [
        replace(outcome, status=BadInput.status, findings=(reasons[outcome.name],))
        if outcome.name in reasons
        else outcome
        for outcome in found
    ]


def _told(looked: Looked, *, as_json: bool) -> int:
    """Nothing is done: print what was seen as JSON, or the summary of several hosts. Returns the exit status."""
    if len(looked.works) == 1:
        if as_json:
            click.echo(json.dumps({"schema": 1, **looked.works[0].json()}, indent=2))
        return 0
    if as_json:
        _print_json(looked.outcomes, [work.json() if work in looked.good else None for work in looked.works])
    else:
        click.echo(summary(looked.outcomes))
    return exit_status(looked.outcomes)


def _work_on_all(looked: Looked, todo: Sequence[Work], *, as_json: bool) -> int:
    """Do the work side by side, with the progress of all; one that fails does not stop the others."""
    with timeline_of(as_json=as_json) as timeline:
        if len(looked.works) == 1:
            with single_host(looked.works[0].hosted.name):
                done = todo[0].make(timeline, "host") if todo else Made(looked.works[0].json())
        else:
            jobs = [_job(work, partial(work.make, timeline, work.hosted.name)) for work in todo]
            made = {outcome.name: outcome for outcome in run_jobs(jobs)}
    if len(looked.works) == 1:
        if as_json:
            click.echo(json.dumps({"schema": 1, **done.json}, indent=2))
        return done.status
    outcomes = [made.get(outcome.name, outcome) for outcome in looked.outcomes]
    if as_json:
        done_by = {work.hosted.name: work.json() for work in looked.good} | {
            name: outcome.result.json if outcome.result else None for name, outcome in made.items()
        }
        _print_json(outcomes, [done_by.get(outcome.name) for outcome in outcomes])
    else:
        for outcome in outcomes:
            if outcome.findings and outcome.name in made and not outcome.result:  # else they were noted
                _show(outcome, "")
        click.echo(summary(outcomes))
    return exit_status(outcomes)


def consent(what: str, wishes: Wishes) -> None:
    """Ask the user. Raises :class:`~ouchi.core.errors.Declined` on a no, BadInput where nobody can be asked."""
    if wishes.yes:
        return
    if not sys.stdin.isatty():
        raise BadInput(
            error(
                f"nobody can be asked whether to {what}",
                found="no terminal",
                expected="a terminal, or --yes",
                remedy="the same command with --yes",
            )
        )
    if not click.confirm(f"{what[0].upper()}{what[1:]}?"):
        raise Declined


def _job(work: Work, act: Callable[[], Any]) -> Job[Any]:
    def stop() -> None:
        work.hosted.interrupt()  # which may have a new connection by then

    return Job(work.hosted.name, work.hosted.address, act, stop)


def _show(outcome: HostResult[Any], text: str) -> None:
    from ouchi.cli import show

    click.echo(f"==> {outcome.name} ({outcome.address or 'this machine'}) <==")
    if text:
        click.echo(text)
    show(*outcome.findings)
    click.echo()


def _print_json(outcomes: Sequence[HostResult[Any]], results: Sequence[Any]) -> None:
    entries = [outcome.to_json(result) for outcome, result in zip(outcomes, results, strict=True)]
    click.echo(json.dumps({"schema": 1, "hosts": entries}, indent=2))
