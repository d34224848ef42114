"""A program that runs beside us until it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path as RealPath

from ouchi.core import log
from ouchi.core.log import LOCAL
from ouchi.machine import Path

LAST = 2000  # characters of a log's end


class Background:
    """A started program. Its output goes to a log, of which the end can be told."""

    def __init__(self, child: subprocess.Popen[bytes], log: Path, program: str) -> None:
        self._child = child
        self._log = log
        self._program = program
        self._begin = time.monotonic()
        self._reported = False

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._child.pid

    def status(self) -> int | None:
        """The exit status (negative: the signal), None while it runs."""
        status = self._child.poll()
        if status is not None and not self._reported:
            self._reported = True
            seconds, note = time.monotonic() - self._begin, f"process {self.pid}"
            log.write(LOCAL, "end", (self._program,), seconds=seconds, status=status, note=note)
        return status

    def said(self) -> str:
        """The end of what it wrote."""
        with contextlib.suppress(OSError):
            return RealPath(self._log).read_text(encoding="utf-8", errors="replace")[-LAST:].strip()
        return ""

    def end(self, seconds: float = 5.0) -> None:
        """Ask it to end, wait for ``seconds``, then kill it and what it started. Ended already is fine."""
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._child.wait()
        self.status()

    def kill(self) -> None:
        """End it and what it started at once, as a power cut would. Ended already is fine."""
        self._signal(signal.SIGKILL)
        self._child.wait()
        self.status()

    def _signal(self, number: int) -> None:
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
