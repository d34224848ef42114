"""The distribution's Chromium, without a network, driven over a pipe by its own protocol (DevTools)."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAM = "chromium"
SECONDS = 60
"""How long it may take to answer; pages load within one."""
WITHOUT_NETWORK = ("unshare", "--net")
"""A network namespace of its own: not even the loopback is up."""


class Browser:
    """One page of one browser. ``events`` are all messages that no command asked for, in order."""

    def __init__(self, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # The browser reads commands from descriptor 3 and answers on descriptor 4.
        pipes = f'exec 3<&{commands} 4>&{answers}; exec "$@"'
        words = (
            PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage",
            f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
        )  # fmt: skip
        self._process = subprocess.Popen(
            [*WITHOUT_NETWORK, "bash", "-c", pipes, "bash", *words],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._unread, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        target = next(info for info in self.do("Target.getTargets")["targetInfos"] if info["type"] == "page")
        self._session = self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._commands)  # it ends when nobody can command it any more
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path, width: int = 1200, scheme: str = "light", media: str = "screen") -> None:
        """Load a page and wait until it is there; what was seen before is forgotten."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.do("Emulation.setEmulatedMedia", media=media, features=features)
        self.events.clear()
        self.do("Page.navigate", url=page.as_uri())
        self.wait("Page.loadEventFired")

    def wait(self, method: str) -> dict[str, Any]:
        """Wait for an event."""
        while True:
            for event in self.events:
                if event.get("method") == method:
                    return event
            self.events.append(self._read())

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def picture(self, whole: bool = True) -> bytes:
        """What the page looks like, as PNG."""
        return base64.b64decode(self.do("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def point(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not select.select([self._answers], [], [], SECONDS)[0]:
                raise AssertionError(f"{PROGRAM} says nothing for {SECONDS} s")
            more = os.read(self._answers, 1 << 20)
            if not more:
                raise AssertionError(f"{PROGRAM} ended with status {self._process.wait()}")
            self._unread += more
        line, self._unread = self._unread.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message
