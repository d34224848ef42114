"""A program in the background."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path as RealPath
from typing import Protocol

from ouchi.core import log
from ouchi.core.log import LOCAL
from ouchi.machine import Machine, Path

LAST = 2000  # characters of a log's end


class Background:
    """A started program; its output goes to the file ``log``."""

    def __init__(self, child: subprocess.Popen[bytes], log: Path, program: str) -> None:
        self._child = child
        self._log = log
        self._program = program
        self._begin = time.monotonic()
        self._reported = False

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._child.pid

    def status(self) -> int | None:
        """The exit status (negative: the signal), None while it runs."""
        status = self._child.poll()
        if status is not None and not self._reported:
            self._reported = True
            seconds, note = time.monotonic() - self._begin, f"process {self.pid}"
            log.write(LOCAL, "end", (self._program,), seconds=seconds, status=status, note=note)
        return status

    def log_tail(self) -> str:
        """The end of its output."""
        with contextlib.suppress(OSError):
            return RealPath(self._log).read_text(encoding="utf-8", errors="replace")[-LAST:].strip()
        return ""

    def end(self, seconds: float = 5.0) -> None:
        """Send SIGTERM, wait for ``seconds``, then kill it and its children. It may have ended already."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Kill it and its children at once. It may have ended already."""
        self._signal(signal.SIGKILL)
        self._child.wait()
        self.status()

    def _signal(self, number: int) -> None:
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


class Launcher(Machine, Protocol):
    """A machine on which programs can also run in the background: this machine."""

    def start(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Background:
        """Start a program in the background, its output in the file ``log``.

        Unless the caller ends it, it outlives ouchi. Raises :class:`~ouchi.machine.CommandFailed` when it cannot be
        started.
        """
