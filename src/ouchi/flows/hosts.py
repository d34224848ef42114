"""One piece of work for each of several hosts, side by side; what becomes of one is no matter of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import format_exception
from typing import Any, Generic, TypeVar

from ouchi.core.errors import Failed, Finding, OuchiError, error
from ouchi.machine.crash import record

MOST = 32
"""Hosts at once; each takes a thread, which mostly waits, and two processes of ssh."""

WARNED = 4
"""The exit status of a host of which there are warnings only."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of a host: the result, or why there is none, with the exit status that it means.

    A result that has a ``status`` or ``findings`` of its own gives them.
    """

    name: str
    address: str
    seconds: float
    result: T | None
    status: int = 0
    findings: tuple[Finding, ...] = ()

    def to_json(self, result: Any = None) -> dict[str, Any]:
        """The outcome as plain JSON, with the JSON form of its result."""
        return {
            "name": self.name,
            "address": self.address,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "findings": [finding.to_json() for finding in self.findings],
            "result": result,
        }


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """The work for one host; ``address`` is empty for this machine itself. ``stop`` ends what it waits for."""

    name: str
    address: str
    work: Callable[[], T]
    stop: Callable[[], None]


def side_by_side(jobs: Sequence[Job[T]], most: int = MOST) -> Iterator[Outcome[T]]:
    """The outcome of each, in their order, as soon as it and those before it are there.

    When the caller stops (Ctrl-C), all are stopped, and this returns when they have ended.
    """
    # No more threads than there is work; those that have not begun when all is stopped never do.
    pool = ThreadPoolExecutor(max(1, min(most, len(jobs))), thread_name_prefix="host")
    running: list[Future[Outcome[T]]] = [pool.submit(_outcome, job) for job in jobs]
    try:
        for future in running:
            yield future.result()
    except BaseException:
        for job in jobs:
            job.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def worst(outcomes: Sequence[Outcome[Any]]) -> int:
    """The exit status for all of them; warnings are less than any failure, whatever their number."""
    return max(
        (outcome.status for outcome in outcomes), default=0, key=lambda status: 0.5 if status == WARNED else status
    )


def summary(outcomes: Sequence[Outcome[Any]]) -> str:
    """A line for each host, and one for all."""
    width = max((len(outcome.name) for outcome in outcomes), default=0)
    lines = [
        f"{_mark(outcome.status)} {outcome.name:<{width}}  {outcome.seconds:5.1f} s"
        + (f"  {_why(outcome)}" if outcome.status else "")
        for outcome in outcomes
    ]
    bad = sum(outcome.status not in (0, WARNED) for outcome in outcomes)
    return "\n".join([*lines, f"{len(outcomes)} hosts: {f'{bad} of them not as asked' if bad else 'all as asked'}"])


def of_files(reason: OSError, name: str) -> Failed:
    """A file of the host that could not be worked with (a full disk, a broken one) is no bug of ours."""
    return Failed(
        error(
            "files of the host could not be worked with",
            where=name,
            found=str(reason),
            remedy="look there (df, mount, ls -l), mend what it says, then the same command again",
        )
    )


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Work on a single host, the errors of its files told as those of one of several are."""
    try:
        yield
    except BrokenPipeError:  # nobody reads what we print
        raise
    except OSError as reason:
        raise of_files(reason, name or "this machine") from None


def _outcome(job: Job[T]) -> Outcome[T]:
    begin = time.monotonic()
    result: T | None = None
    status, findings = 0, tuple[Finding, ...]()
    try:
        result = job.work()
        status, findings = getattr(result, "status", 0), getattr(result, "findings", ())
    except OuchiError as reason:
        status, findings = reason.status, reason.findings
    except OSError as reason:
        status, findings = Failed.status, of_files(reason, job.name).findings
    except Exception as bug:  # noqa: BLE001  # of one host; the others go on
        status, findings = Failed.status, (_bug(job.name, bug),)
    return Outcome(job.name, job.address, time.monotonic() - begin, result, status, findings)


def _bug(name: str, bug: Exception) -> Finding:
    return error(
        "this is a bug in ouchi",
        where=name,
        found=f"{type(bug).__name__}: {bug}".splitlines()[0][:200],
        remedy=f"traceback in {record(''.join(format_exception(bug)))}",
    )


def _mark(status: int) -> str:
    return {0: "✔", WARNED: "!"}.get(status, "✘")


def _why(outcome: Outcome[Any]) -> str:
    if outcome.status == WARNED:
        return "warnings"
    return outcome.findings[0].claim if outcome.findings else f"exit status {outcome.status}"
