"""The client of the generator's protocol: JSON lines on a unix socket, with events between the answers."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from ouchi.core.errors import Failed

MAX_LINE = 64 * 1024 * 1024
"""Bytes of a line; results with full histograms of many streams have some hundred kB."""


class RequestRejected(Failed):
    """The generator rejected a request; it still runs, unchanged."""


class Client:
    """One connection. ``exit_reason`` returns why the generator ended, empty while it runs."""

    def __init__(self, path: str, exit_reason: Callable[[], str]) -> None:
        self._path = path
        self._exit_reason = exit_reason
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(1)
        self._buffer = b""
        self._events: deque[dict[str, Any]] = deque()
        self._last_id = 0
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def request(
        self, do: str, *, timeout_seconds: float = 30.0, meanwhile: Callable[[], None] | None = None, **members: Any
    ) -> dict[str, Any]:
        """Send a request and return its answer. ``meanwhile`` is called between the two.

        Raises :class:`RequestRejected` with the generator's reason, :class:`~ouchi.core.errors.Failed` when it has ended
        or does not answer in time.
        """
        self._last_id += 1
        line = json.dumps({"id": self._last_id, "do": do, **members}, separators=(",", ":"))
        self._send(line.encode() + b"\n")
        if meanwhile:
            meanwhile()
        end = time.monotonic() + timeout_seconds
        while True:
            message = self._message(end, f"the answer to {do}")
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                reason = message["error"]
                raise RequestRejected.of(
                    f"the generator rejects a request: {reason['text']}",
                    where=f"{do}: {reason['where']}",
                    found=_shortened(members),
                )
            elif message.get("id") == self._last_id:
                return message

    def event(self, seconds: float, what: str) -> dict[str, Any]:
        """The next event; ``what`` names it should it not arrive within ``seconds``."""
        if self._events:
            return self._events.popleft()
        end = time.monotonic() + seconds
        while True:
            message = self._message(end, what)
            if "event" in message:
                return message

    def close(self) -> None:
        """Disconnect; the generator then stops sending."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(10)
            self._socket.sendall(data)
        except OSError as reason:
            raise self._ended(self._exit_reason() or str(reason)) from None

    def _message(self, end: float, what: str) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                self._socket.settimeout(max(0.01, end - time.monotonic()))
                data = self._socket.recv(1 << 20)
            except TimeoutError:
                claim = f"timeout waiting for {what}"
                raise Failed.of(claim, where=self._path, remedy="run the same command again") from None
            except OSError as reason:
                raise self._ended(str(reason)) from None
            if not data or len(self._buffer) > MAX_LINE:
                raise self._ended(self._exit_reason() or "it closed the connection")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _ended(self, found: str) -> Failed:
        return Failed.of(
            "the traffic generator has ended",
            where=self._path,
            found=found[-600:],
            expected="an answer",
            remedy="run the same command again",
        )


def _shortened(members: Mapping[str, Any]) -> str:
    text = json.dumps(members)
    return text if len(text) <= 200 else text[:200] + "…"
