"""A client of QEMU's control socket (QMP: JSON objects, one a line)."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any, Self

from ouchi.core.errors import Failed
from ouchi.machine import Path

ANSWER_SECONDS = 60.0
"""Saving a state takes seconds, more on a busy machine."""


class Monitor:
    """One connection; QEMU's events are kept until they are asked for. Raises :class:`OSError` when nobody listens."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._rest = b""
        self._events: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(5)
            self._socket.connect(self._path)
            self._next(time.monotonic() + 5)  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def execute(self, command: str, within: float = ANSWER_SECONDS, **arguments: Any) -> Any:
        """Run a QMP command and return its result. Raises :class:`~ouchi.core.errors.Failed` with QEMU's reason."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            end = time.monotonic() + within
            while True:
                message = self._next(end)
                if "return" in message:
                    return message["return"]
                if "error" in message:
                    raise self._failed(command, message["error"]["desc"])
                self._events.append(message)
        except OSError as reason:
            raise self._failed(command, str(reason) or "the connection was closed") from None

    def command(self, line: str, within: float = ANSWER_SECONDS) -> str:
        """Run a command of the human monitor, such as ``savevm``, and return its output."""
        return str(self.execute("human-monitor-command", within, **{"command-line": line})).strip()

    def ended_by(self) -> str:
        """The reason of the SHUTDOWN event of a QEMU that has ended: ``guest-reset``, ``guest-shutdown``, …; or empty."""
        with contextlib.suppress(OSError, Failed):
            while True:
                self._events.append(self._next(time.monotonic() + 0.5))
        reasons = [event["data"]["reason"] for event in self._events if event.get("event") == "SHUTDOWN"]
        return str(reasons[-1]) if reasons else ""

    def _next(self, end: float) -> dict[str, Any]:
        """The next object. Raises :class:`OSError` at the end of the connection or of the time."""
        while b"\n" not in self._rest:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("QEMU closed the connection")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _failed(self, command: str, found: str) -> Failed:
        return Failed.of("QEMU did not do what it was asked", where=f"{self._path}: {command}", found=found)
