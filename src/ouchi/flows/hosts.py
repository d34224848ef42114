"""Run one job per host in parallel; a failure on one host does not affect the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from traceback import format_exception
from typing import Any, Generic, TypeVar

from ouchi.core.errors import BadInput, Failed, Finding, OuchiError, Unhealthy, error
from ouchi.machine.own_process import save_traceback

MOST_AT_ONCE = 32
"""Hosts that are worked on at the same time; each takes a thread, which mostly waits, and two ssh processes."""

WARNINGS_ONLY = 4
"""The exit status for a host with warnings and no errors."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """The work for one host; ``address`` is empty for this machine. ``stop`` ends what ``work`` waits for."""

    name: str
    address: str
    work: Callable[[], T]
    stop: Callable[[], None]


@dataclass(frozen=True, slots=True)
class HostResult(Generic[T]):
    """The result of a host's job (None where it failed), its exit status and findings, and how long it took in seconds.

    Where the result itself has a ``status`` or ``findings``, it is those.
    """

    name: str
    address: str
    seconds: float
    result: T | None
    status: int = 0
    findings: tuple[Finding, ...] = ()

    def to_json(self, result: Any = None) -> dict[str, Any]:
        """As plain JSON; ``result`` is the JSON form of the result."""
        return {
            "name": self.name,
            "address": self.address,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "findings": [finding.to_json() for finding in self.findings],
            "result": result,
        }


def run_jobs(
    jobs: Sequence[Job[T]], most_at_once: int = MOST_AT_ONCE, *, single: bool = False
) -> Iterator[HostResult[T]]:
    """Run all jobs in parallel and yield their results in the order of the jobs, each as soon as possible.

    When the caller stops iterating (Ctrl-C), all jobs are stopped, and this returns once they have ended. A ``single``
    job runs in this thread, where it may ask the user, and its errors are raised.
    """
    if single:
        yield _run_here(*jobs)
        return
    # Jobs that have not begun by then never do.
    pool = ThreadPoolExecutor(max(1, min(most_at_once, len(jobs))), thread_name_prefix="host")
    running: list[Future[HostResult[T]]] = [pool.submit(_run, job) for job in jobs]
    try:
        for future in running:
            yield future.result()
    except BaseException:
        for job in jobs:
            job.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def results_of(jobs: Sequence[Job[T]]) -> list[T]:
    """What all jobs give; where one of them fails, raises :class:`~ouchi.core.errors.OuchiError` with all findings."""
    results = list(run_jobs(jobs, single=len(jobs) == 1))
    if status := exit_status(results):
        kind = {one.status: one for one in (Unhealthy, BadInput, Failed)}.get(status, Failed)
        raise kind(
            replace(finding, where=": ".join(filter(None, [result.name, finding.where])))
            for result in results
            for finding in result.findings
        )
    return [result.result for result in results if result.result is not None]


def exit_status(results: Sequence[HostResult[Any]]) -> int:
    """The exit status for all hosts: the highest, but warnings count less than any failure."""
    return max(
        (result.status for result in results),
        default=0,
        key=lambda status: 0.5 if status == WARNINGS_ONLY else status,
    )


def summary(results: Sequence[HostResult[Any]]) -> str:
    """One line for each host, and one for all."""
    width = max((len(result.name) for result in results), default=0)
    lines = [
        f"{_mark(result.status)} {result.name:<{width}}  {result.seconds:5.1f} s"
        + (f"  {_reason(result)}" if result.status else "")
        for result in results
    ]
    succeeded = sum(result.status in (0, WARNINGS_ONLY) for result in results)
    return "\n".join([*lines, f"{succeeded} of {len(results)} hosts succeeded"])


def file_error(reason: OSError, host: str) -> Failed:
    """The error for files of a host that cannot be read or written, as on a full or broken disk: no bug of ouchi."""
    return Failed.of(
        "a file of the host cannot be read or written",
        where=host,
        found=str(reason),
        remedy="look there (df, mount, ls -l), fix the cause, then the same command again",
    )


def _run_here(job: Job[T]) -> HostResult[T]:
    begin = time.monotonic()
    try:
        result = job.work()
    except BrokenPipeError:  # nobody reads what is printed
        raise
    except OSError as reason:
        raise file_error(reason, job.name or "this machine") from None
    except KeyboardInterrupt:
        job.stop()
        raise
    return _ended(job, begin, result)


def _ended(job: Job[T], begin: float, result: T) -> HostResult[T]:
    status, findings = getattr(result, "status", 0), getattr(result, "findings", ())
    return HostResult(job.name, job.address, time.monotonic() - begin, result, status, findings)


def _run(job: Job[T]) -> HostResult[T]:
    begin = time.monotonic()
    try:
        return _ended(job, begin, job.work())
    except OuchiError as reason:
        status, findings = reason.status, reason.findings
    except OSError as reason:
        status, findings = Failed.status, file_error(reason, job.name).findings
    except Exception as bug:  # noqa: BLE001  # the other hosts continue
        status, findings = Failed.status, (_bug(job.name, bug),)
    return HostResult(job.name, job.address, time.monotonic() - begin, None, status, findings)


def _bug(host: str, bug: Exception) -> Finding:
    return error(
        "this is a bug in ouchi",
        where=host,
        found=f"{type(bug).__name__}: {bug}".splitlines()[0][:200],
        remedy=f"traceback in {save_traceback(''.join(format_exception(bug)))}",
    )


def _mark(status: int) -> str:
    return {0: "✔", WARNINGS_ONLY: "!"}.get(status, "✘")


def _reason(result: HostResult[Any]) -> str:
    if result.status == WARNINGS_ONLY:
        return "warnings"
    return result.findings[0].claim if result.findings else f"exit status {result.status}"
