"""A program in the lab on a terminal: what it shows, and keys for it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from lab import Lab


class Terminal:
    """``with Terminal(lab, argv) as terminal:``; killed at the end if it still runs. ``shown``: all that it wrote."""

    def __init__(self, lab: Lab, argv: Sequence[str]) -> None:
        self._master, self._slave = pty.openpty()
        self.before = self.mode()
        self.shown = b""
        environment = lab.environment | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        words = ["setsid", "--ctty", "--wait", *lab.argv(argv)]
        self._process = subprocess.Popen(
            words, env=environment, stdin=self._slave, stdout=self._slave, stderr=self._slave
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
        os.close(self._slave)

    def mode(self) -> list[Any]:
        """The attributes of the terminal (termios(3)), which a program restores when it ends."""
        return termios.tcgetattr(self._slave)

    def until(self, *texts: bytes, keys: bytes = b"", seconds: float = 60) -> None:
        """Read until all the texts were shown. ``keys``: pressed each second, for a program that drops what comes early."""
        end, pressed = time.monotonic() + seconds, 0.0
        while not all(text in self.shown for text in texts):
            now = time.monotonic()
            assert now < end, self.shown[-2000:]
            if keys and now - pressed >= 1:
                self.write(keys)
                pressed = now
            self._read()

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def ended(self, seconds: float = 60) -> int:
        """Read until the program ends, and return its exit status."""
        end = time.monotonic() + seconds
        while (status := self._process.poll()) is None:
            assert time.monotonic() < end, self.shown[-2000:]
            self._read()
        return status

    def _read(self) -> None:
        if select.select([self._master], [], [], 0.2)[0]:
            self.shown += os.read(self._master, 65536)
