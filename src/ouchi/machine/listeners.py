"""The user at the other end of a connection within this machine."""

from __future__ import annotations

import socket
import time
from pathlib import Path

ACCEPT_SECONDS = 20.0
"""How long a service may take to accept a connection."""


def peer_uid(connection: socket.socket) -> int:
    """The user id of the program that has accepted a TCP connection over loopback.

    By the other end's row in /proc/net/tcp. The kernel shows no owner (inode 0) until a program has accepted it, which
    is waited for. Raises :class:`TimeoutError` when none does.
    """
    own, other = connection.getsockname()[1], connection.getpeername()[1]
    end = time.monotonic() + ACCEPT_SECONDS
    while time.monotonic() < end:
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for words in _rows(table):
                ports = tuple(int(words[column].rpartition(":")[2], 16) for column in (1, 2))
                if ports == (other, own) and words[9] != "0":
                    return int(words[7])
        time.sleep(0.01)
    raise TimeoutError(f"no program has accepted a connection to port {other} within {ACCEPT_SECONDS:g} s")


def _rows(table: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
    except OSError:  # a kernel without IPv6
        return []
