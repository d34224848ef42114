"""Measure a command from outside: wall time, CPU time of its process tree, and its events with their arrival times."""

# ruff: noqa: TID251  # measured from outside the package, so not through ouchi.machine
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ouchi.core.errors import Failed, error
from ouchi.core.events import Event, EventKind

ENDED = (EventKind.CHANGED, EventKind.NOTHING)
"""The kinds of event that say that a task is done."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, and the seconds from the start of the command (its launcher included) until it was read here."""

    at: float
    event: Event


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended: wall seconds, CPU seconds (user and system), events, other text on stderr, stdout."""

    status: int
    seconds: float
    cpu: float
    arrivals: tuple[Arrival, ...]
    stderr: str
    stdout: str

    @property
    def changed(self) -> list[str]:
        """The tasks that changed something."""
        return [arrival.event.task for arrival in self.arrivals if arrival.event.kind is EventKind.CHANGED]


def parse_event(line: str) -> Event | None:
    """The event in one line of ``ouchi ... --json`` on stderr; None for other text."""
    try:
        found = json.loads(line)
        return Event(**{**found, "kind": EventKind(found["kind"])})
    except (ValueError, TypeError, KeyError):
        return None


def run(argv: Sequence[str], *, seconds: float, hear: Callable[[Event], None] = lambda _event: None) -> Ran:
    """Run a command to its end, at most for ``seconds``, and pass each event to ``hear``.

    CPU time is the kernel's sum for the process and all descendants that were waited for (``wait4``), without daemons
    that it leaves running. Raises :class:`~ouchi.core.errors.Failed` if it does not end in time.
    """
    arrivals: list[Arrival] = []
    other: list[str] = []
    with tempfile.TemporaryFile() as out:
        begin = time.monotonic()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True)
        late = threading.Timer(seconds, child.kill)
        late.start()
        try:
            for line in child.stderr or ():
                if event := parse_event(line):
                    arrivals.append(Arrival(time.monotonic() - begin, event))
                    hear(event)
                else:
                    other.append(line)
            _, wait_status, usage = os.wait4(child.pid, 0)
            ended = time.monotonic() - begin
            child.returncode = os.waitstatus_to_exitcode(wait_status)
        finally:
            late.cancel()
            _leave(child)
        out.seek(0)
        stdout = out.read().decode(errors="replace")
    if ended >= seconds and child.returncode < 0:
        raise Failed(error("a command did not end in time", where=" ".join(argv)[-200:], expected=f"{seconds:g} s"))
    cpu = usage.ru_utime + usage.ru_stime
    return Ran(child.returncode, ended, cpu, tuple(arrivals), "".join(other), stdout)


def _leave(child: subprocess.Popen[str]) -> None:
    """Close the pipe; a child that received Ctrl-C as well may still exit by itself."""
    if child.stderr:
        child.stderr.close()
    if child.returncode is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=20)
            return
        child.kill()
        child.wait()


@dataclass(frozen=True, slots=True)
class Ouchi:
    """The command line under measurement: how it is started, and the listener for its progress."""

    argv: tuple[str, ...]
    hear: Callable[[Event], None]

    def run(self, *words: str, seconds: float = 900, fine: Sequence[int] = (0,)) -> Ran:
        """Run one of its commands. Raises :class:`~ouchi.core.errors.Failed` with its own findings if it fails."""
        ran = run((*self.argv, *words), seconds=seconds, hear=self.hear)
        if ran.status not in fine:
            raise Failed(
                error(
                    f"ouchi {words[0]} failed with status {ran.status} after {ran.seconds:.1f} s",
                    where=" ".join((*self.argv[-1:], *words)),
                    found="\n" + (ran.stderr or ran.stdout).strip(),
                )
            )
        return ran


def pinging(ran: Ran) -> float:
    """Return the seconds from the start of ``up`` until the servers were ACTIVE and answered every ping.

    ``verify`` pings once the servers are ACTIVE and starts iperf3 when they answer, so its first event about iperf3
    marks the moment; without one (nothing was measured) its end does.
    """
    verifying = [arrival for arrival in ran.arrivals if arrival.event.stage == "verify"]
    for arrival in verifying:
        if arrival.event.kind is EventKind.PROGRESS and arrival.event.text.startswith("iperf3"):
            return arrival.at
    for arrival in verifying:
        if arrival.event.kind in ENDED:
            return arrival.at
    raise ValueError("these events hold no verification")
