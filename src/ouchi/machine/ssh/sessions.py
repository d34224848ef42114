"""A program on a remote host: one session of an ssh connection."""

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

_LETTING_GO = 3.0
"""Seconds in which the other side notices that nobody waits any more, and ends what ran."""

_TURN = 0.2
"""Seconds between two looks at whether to go on giving a program its input."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a session ended.

    ``status`` is the program's (negative: the signal), None when it did not start or nobody said how it ended;
    ``reason`` then says why it did not start, or is empty. ``timed_out``: it was ended because it took too long.
    """

    status: int | None
    stdout: bytes
    stderr: bytes
    reason: str = ""
    timed_out: bool = False


class Session:
    """Started when it is made. Its program ends with it: :meth:`let_go`, or our own death."""

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
        self._over, self._closing = threading.Event(), threading.Lock()
        # What is written stays open after it: its end is what ends the program.
        self._giver = threading.Thread(target=self._give, args=(input,), daemon=True)
        self._giver.start()

    def wait(self, seconds: float) -> Ended:
        """Wait for its end; let go of it after ``seconds``, or whatever else happens meanwhile."""
        timed_out = False
        try:
            try:
                out, err = self._child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                timed_out = True
                self.let_go()
                out, err = self._child.communicate()
        finally:
            self.let_go()
        return self._ended(out, err, timed_out)

    def first_line(self, seconds: float) -> bytes:
        """What it says first on its standard output, without the end of the line; empty when nothing comes."""
        deadline, begun = time.monotonic() + seconds, False
        while line := self._line(deadline):
            if begun:
                return line.removesuffix(b"\n")
            begun = line == self._mark + b"\n"
        return b""

    def _line(self, deadline: float) -> bytes:
        said, stream = b"", self._child.stdout
        while stream and not said.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
            # Byte by byte: what comes after the line is for who waits for the end.
            if not select.select([stream], [], [], left)[0] or not (piece := os.read(stream.fileno(), 1)):
                break
            said += piece
        return said

    def abandon(self) -> None:
        """Have it end soon, whoever waits for it, and do not wait here."""
        self._release()
        killer = threading.Timer(_LETTING_GO, self._kill)
        killer.daemon = True
        killer.start()

    def let_go(self) -> None:
        """End it: gently, so that the other side ends what runs there, then whatever is left here. Twice is fine."""
        self._release()
        try:
            self._child.wait(_LETTING_GO)
        except subprocess.TimeoutExpired:
            self._kill()
            self._child.wait()

    def close(self) -> None:
        """Let go of it and of what it may still say: for one that nobody waited for."""
        self.let_go()
        for stream in (self._child.stdout, self._child.stderr):
            if stream:
                stream.close()

    def _release(self) -> None:
        self._over.set()
        self._giver.join()
        with self._closing:  # an interruption comes from another thread
            if self._ours >= 0:
                os.close(self._ours)
                self._ours = -1

    def _kill(self) -> None:
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _give(self, data: bytes) -> None:
        os.set_blocking(self._ours, False)
        rest = memoryview(data)
        while rest and not self._over.is_set():
            if not select.select([], [self._ours], [], _TURN)[1]:
                continue
            try:
                rest = rest[os.write(self._ours, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:  # it has ended without reading all
                return

    def _ended(self, out: bytes, err: bytes, timed_out: bool) -> Ended:
        out, err = self._begun(out), self._begun(err)
        said, mark, last = err.rpartition(b"\n" + self._mark + b" ")
        if not mark or timed_out:
            return Ended(None, out, said if mark else err, timed_out=timed_out)
        word = last.partition(b"\n")[0].decode(errors="replace")
        if match := re.fullmatch(r"(status|signal) ([0-9]{1,3})", word):
            number = int(match[2])
            return Ended(-number if match[1] == "signal" else number, out, said)
        return Ended(None, out, said, reason=word)

    def _begun(self, said: bytes) -> bytes:
        """Without what the login shell said before; all of it when nothing else was said, as that may tell why."""
        before, mark, after = said.partition(b"\n" + self._mark + b"\n")
        return after if mark else before
