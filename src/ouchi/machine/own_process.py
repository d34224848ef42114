"""This process itself: its streams, the traceback of a bug, and its replacement by another program."""

from __future__ import annotations

import os
import select
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from ouchi.core import log
from ouchi.core.log import LOCAL


def replace_with(argv: Sequence[str], environment: Mapping[str, str]) -> bool:
    """execve(2) with ``environment`` added; returns False when there is no such program."""
    log.write(LOCAL, "exec", argv, env=environment)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(argv[0], list(argv), {**os.environ, **environment})
    except FileNotFoundError:
        return False


def save_traceback(text: str) -> str:
    """Write it to a new file in the temporary folder that only its owner can read; its path. Raises :class:`OSError`."""
    handle, path = tempfile.mkstemp(prefix="ouchi-bug-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return path


def reader_gone(stream: TextIO) -> bool:
    """True when the stream is a pipe whose reader has closed it."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def columns(stream: TextIO) -> int:
    """The width of the terminal that the stream is; 80 where it is none, or one that does not report it."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def replace_closed_streams() -> None:
    """Give /dev/null to the standard streams that were closed when this process started, for which Python has none."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  # as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def discard(stream: TextIO) -> None:
    """Redirect the stream, with what is still buffered, to /dev/null."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Keys:
    """Keys that are pressed at a terminal, read one at a time inside the context; none where it is no terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream and stream.isatty() else None
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        if self._stream:
            self._before = termios.tcgetattr(self._stream)
            tty.setcbreak(self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream:
            termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str:
        """Wait; return the key that ended it, empty when the time is over."""
        if not self._stream:
            time.sleep(seconds)
            return ""
        if select.select([self._stream], [], [], seconds)[0]:
            return os.read(self._stream.fileno(), 1).decode("ascii", "replace") or "q"  # the terminal is gone
        return ""
