"""A session of an ssh connection: one program on the remote host."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

_TERMINATE_SECONDS = 3.0
"""How long the remote side may take to end the program once its standard input is closed."""

_POLL_SECONDS = 0.2
"""How often to check whether to stop writing the program's input."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a session.

    ``status`` is the program's exit status (negative: the signal), None when it did not start or its end is not known;
    ``reason`` says why it did not start. ``timed_out``: it was ended because of its time limit.
    """

    status: int | None
    stdout: bytes
    stderr: bytes
    reason: str = ""
    timed_out: bool = False


class Session:
    """Starts when it is made. The program ends with :meth:`terminate`, or when ouchi ends."""

    def __init__(self, command: Sequence[str], input: bytes, mark: str) -> None:
        self._mark = mark.encode()
        theirs, self._ours = os.pipe()
        try:
            self._child = subprocess.Popen(
                command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except BaseException:
            os.close(self._ours)
            raise
        finally:
            os.close(theirs)
        self._stopping, self._closing = threading.Event(), threading.Lock()
        # The pipe stays open after the input: closing it is what ends the program.
        self._writer = threading.Thread(target=self._write, args=(input,), daemon=True)
        self._writer.start()

    def wait(self, seconds: float) -> Ended:
        """Wait for its end; terminate it after ``seconds``, and when this is interrupted."""
        timed_out = False
        try:
            try:
                out, err = self._child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
                self.terminate()
                out, err = self._child.communicate()
        finally:
            self.terminate()
        return self._ended(out, err, timed_out)

    def first_line(self, seconds: float) -> bytes:
        """The first line on its standard output, without the newline; empty when none comes in time."""
        deadline, begun = time.monotonic() + seconds, False
        while line := self._line(deadline):
            if begun:
                return line.removesuffix(b"\n")
            begun = line == self._mark + b"\n"
        return b""

    def _line(self, deadline: float) -> bytes:
        line, stream = b"", self._child.stdout
        while stream and not line.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
            # Byte by byte: what follows the line is left for wait().
            if not select.select([stream], [], [], left)[0] or not (piece := os.read(stream.fileno(), 1)):
                break
            line += piece
        return line

    def terminate_async(self) -> None:
        """Terminate it without waiting for its end."""
        self._release()
        killer = threading.Timer(_TERMINATE_SECONDS, self._kill)
        killer.daemon = True
        killer.start()

    def terminate(self) -> None:
        """Close its input, so that the remote side ends the program, then kill what is left here. Can be called twice."""
        self._release()
        try:
            self._child.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            self._child.wait()

    def close(self) -> None:
        """Terminate it and drop its output: for a session that was not waited for."""
        self.terminate()
        for stream in (self._child.stdout, self._child.stderr):
            if stream:
                stream.close()

    def _release(self) -> None:
        self._stopping.set()
        self._writer.join()
        with self._closing:  # an interruption comes from another thread
            if self._ours >= 0:
                os.close(self._ours)
                self._ours = -1

    def _kill(self) -> None:
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _write(self, data: bytes) -> None:
        os.set_blocking(self._ours, False)
        rest = memoryview(data)
        while rest and not self._stopping.is_set():
            if not select.select([], [self._ours], [], _POLL_SECONDS)[1]:
                continue
            try:
                rest = rest[os.write(self._ours, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:  # it ended without reading all of it
                return

    def _ended(self, out: bytes, err: bytes, timed_out: bool) -> Ended:
        out, err = self._after_mark(out), self._after_mark(err)
        output, mark, last = err.rpartition(b"\n" + self._mark + b" ")
        if not mark or timed_out:
            return Ended(None, out, output if mark else err, timed_out=timed_out)
        word = last.partition(b"\n")[0].decode(errors="replace")
        if match := re.fullmatch(r"(status|signal) ([0-9]{1,3})", word):
            number = int(match[2])
            return Ended(-number if match[1] == "signal" else number, out, output)
        return Ended(None, out, output, reason=word)

    def _after_mark(self, output: bytes) -> bytes:
        """The output without that of the login shell before it; all of it when there is nothing else: it may be the reason."""
        before, mark, after = output.partition(b"\n" + self._mark + b"\n")
        return after if mark else before
