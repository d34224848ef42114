"""What ``apply`` and ``undo`` share: looking at all hosts side by side, asking once, working on all, a summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import click

from ouchi.cli.hosted import Hosted
from ouchi.cli.running import timeline_of
from ouchi.errors import BadInput, OuchiError, error
from ouchi.events import Timeline
from ouchi.hosts import Job, Outcome, side_by_side, summary, worst


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the user wants it done. ``go_on``: the command that this machine is to run after its restart."""

    dry_run: bool
    yes: bool
    restart: bool
    go_on: tuple[str, ...] = ()


class Work(Protocol):
    """Something to be done on a host."""

    hosted: Hosted

    def look(self) -> Any:
        """See what is to be done."""

    def make(self, timeline: Timeline, stage: str) -> dict[str, Any]:
        """Do it; what was done, as JSON with a member ``status`` where that is not 0."""


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True)
class Looked(Generic[W]):
    """What came of looking: an outcome for each host, and the work on those that can be worked on."""

    works: tuple[W, ...]
    outcomes: tuple[Outcome[Any], ...]
    good: tuple[W, ...]


def look_at_all(works: Sequence[W], text: Callable[[W], str], *, as_json: bool) -> Looked[W]:
    """Look at every host and show what ``text`` says of each. A single host's errors are raised as they are."""
    if len(works) == 1:
        works[0].look()
        if not as_json:
            click.echo(text(works[0]))
        return Looked(tuple(works), (), tuple(works))
    outcomes = []
    for work, outcome in zip(works, side_by_side([_job(work, work.look) for work in works]), strict=True):
        outcomes.append(outcome)
        if not as_json:
            _show(outcome, "" if outcome.status else text(work))
    good = tuple(work for work, outcome in zip(works, outcomes, strict=True) if not outcome.status)
    return Looked(tuple(works), tuple(outcomes), good)


def told(looked: Looked[W], results: Sequence[Any], *, as_json: bool) -> int:
    """Nothing is done: print what was seen as JSON, or the summary of several hosts. Returns the exit status."""
    if len(looked.works) == 1:
        if as_json:
            click.echo(json.dumps({"schema": 1, **results[0]}, indent=2))
        return 0
    if as_json:
        _print_json(looked.outcomes, results)
    else:
        click.echo(summary(looked.outcomes))
    return worst(looked.outcomes)


def work_on_all(looked: Looked[W], todo: Sequence[W], *, as_json: bool) -> int:
    """Do the work side by side, with the progress of all; one that fails does not stop the others."""
    with timeline_of(as_json=as_json) as timeline:
        if len(looked.works) == 1:
            done = looked.works[0].make(timeline, "host") if todo else {}
        else:
            jobs = [_job(work, _making(work, timeline)) for work in todo]
            made = {outcome.name: outcome for outcome in side_by_side(jobs)}
    if len(looked.works) == 1:
        if as_json:
            click.echo(json.dumps({"schema": 1, **done}, indent=2))
        return int(done.get("status", 0))
    outcomes = [made.get(outcome.name, outcome) for outcome in looked.outcomes]
    if as_json:
        _print_json(outcomes, [outcome.result if isinstance(outcome.result, dict) else None for outcome in outcomes])
    else:
        for outcome in outcomes:
            if outcome.findings and outcome.name in made:
                _show(outcome, "")
        click.echo(summary(outcomes))
    return worst(outcomes)


def consent(what: str, wishes: Wishes) -> None:
    """Ask the user. Raises :class:`~ouchi.errors.BadInput` without a yes."""
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
        raise BadInput(error("nothing was changed", found="your answer", remedy="the same command, when you want it"))


def _job(work: W, act: Callable[[], Any]) -> Job[Any]:
    return Job(work.hosted.name, work.hosted.address, act, work.hosted.interrupt)


def _making(work: W, timeline: Timeline) -> Callable[[], dict[str, Any]]:
    def whole() -> dict[str, Any]:
        try:
            return work.make(timeline, work.hosted.name)
        except OSError as reason:
            raise _of_files(reason) from None

    return whole


def _of_files(reason: OSError) -> OuchiError:
    return OuchiError(error("a file of the host could not be worked with", found=str(reason)))


def _show(outcome: Outcome[Any], text: str) -> None:
    from ouchi.cli import show

    click.echo(f"==> {outcome.name} ({outcome.address or 'this machine'}) <==")
    if text:
        click.echo(text)
    show(*outcome.findings)
    click.echo()


def _print_json(outcomes: Sequence[Outcome[Any]], results: Sequence[Any]) -> None:
    entries = [outcome.to_json(result) for outcome, result in zip(outcomes, results, strict=True)]
    click.echo(json.dumps({"schema": 1, "hosts": entries}, indent=2))
