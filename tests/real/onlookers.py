"""What tests of ssh see from outside: processes, locks, kinds of errors; and how a client is set up."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from sshd import SOURCE, Sshd

from ouchi.core.errors import BadInput
from ouchi.machine.local import LocalMachine


def running(words: str) -> list[int]:
    """The processes with these words in their command line, zeros between them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes().decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def assert_gone(words: str, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while (left := running(words)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def assert_lockable(path: Path) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            with LocalMachine().hold(path, "other"):
                return
        except BadInput:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), **more}


def one_config(servers: list[Sshd], path: Path) -> str:
    """A configuration of ssh that knows these servers as h0, h1 and so on."""
    hosts = []
    for number, server in enumerate(servers):
        text = Path(server.config).read_text().replace("\n", "\n  ")
        hosts.append(f"Host h{number}\n  HostName 127.0.0.1\n  Port {server.port}\n  User root\n  {text}\n")
    path.write_text("".join(hosts))
    return str(path)


def until(probe: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until it is."""
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def outcome(do: Callable[[], object]) -> object:
    """What a call gives, or the kind of its error."""
    try:
        return do()
    except OSError as reason:
        return errno.errorcode[reason.errno or 0]
