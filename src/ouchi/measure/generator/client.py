"""Talking to the generator: a line of JSON asks, a line of JSON answers, and events come in between."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ouchi.core.errors import Failed, error

LONGEST = 64 * 1024 * 1024
"""Bytes of a line at most: results with every bucket of many streams are some hundred kB."""

_TICK = 0.2  # seconds; how long a look at the socket takes at most, so that Ctrl-C and a dead generator are noticed


class Refused(Failed):
    """The generator did not do what it was asked; it is alive and has changed nothing."""


class Client:
    """One connection. ``fate`` says what became of the generator (empty while it is alive)."""

    def __init__(self, path: str, fate: Callable[[], str]) -> None:
        self._path = path
        self._fate = fate
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_TICK)
        self._rest = bytearray()
        self._events: deque[dict[str, Any]] = deque()
        self._asked = 0
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def ask(
        self, do: str, *, within: float = 30.0, meanwhile: Callable[[], None] | None = None, **members: Any
    ) -> dict[str, Any]:
        """Have something done; the members of the answer. ``meanwhile`` is called before the answer is waited for.

        Raises :class:`Refused` with the generator's reason, :class:`~ouchi.core.errors.Failed` when it is gone or does not
        answer within ``within`` seconds.
        """
        self._asked += 1
        self._send(json.dumps({"id": self._asked, "do": do, **members}, separators=(",", ":")).encode() + b"\n")
        if meanwhile:
            meanwhile()
        end = time.monotonic() + within
        while True:
            message = self._message(end, f"the answer to {do}")
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                reason = message["error"]
                raise Refused(
                    error(
                        f"the generator refuses: {reason['text']}",
                        where=f"{do}: {reason['where']}",
                        found=_short(members),
                    )
                )
            elif message.get("id") == self._asked:
                return message

    def event(self, seconds: float, what: str) -> dict[str, Any]:
        """The next event, waited for at most so long."""
        if self._events:
            return self._events.popleft()
        end = time.monotonic() + seconds
        while True:
            message = self._message(end, what)
            if "event" in message:
                return message

    def close(self) -> None:
        """Hang up; the generator stops what it sends."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(10)
            self._socket.sendall(data)
            self._socket.settimeout(_TICK)
        except OSError as reason:
            raise self._gone(self._fate() or str(reason)) from None

    def _message(self, end: float, what: str) -> dict[str, Any]:
        while (line := self._line()) is None:
            try:
                data = self._socket.recv(1 << 20)
            except TimeoutError:
                if gone := self._fate():
                    raise self._gone(gone) from None
                if time.monotonic() > end:
                    raise Failed(
                        error(f"waited for {what} in vain", where=self._path, remedy="run the same command again")
                    ) from None
                continue
            except OSError as reason:
                raise self._gone(str(reason)) from None
            if not data or len(self._rest) > LONGEST:
                raise self._gone(self._fate() or "it hung up")
            self._rest += data
        message: dict[str, Any] = json.loads(line)
        return message

    def _line(self) -> bytes | None:
        end = self._rest.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def _gone(self, found: str) -> Failed:
        return Failed(
            error(
                "the traffic generator is gone",
                where=self._path,
                found=found[-600:],
                expected="that it answers",
                remedy="run the same command again",
            )
        )


def _short(members: Mapping[str, Any]) -> str:
    text = json.dumps(members)
    return text if len(text) <= 200 else text[:200] + "…"
