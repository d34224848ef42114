"""The user at the other end of a connection within this machine."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

ACCEPT_SECONDS = 60.0
"""How long a service may take to accept a connection: a busy API accepts none while it answers others."""

_LOCAL, _REMOTE, _UID, _INODE = 1, 2, 7, 9
"""Columns of /proc/net/tcp and tcp6."""

_MAPPED = "0000000000000000FFFF0000"
"""What stands before an IPv4 address in tcp6: a socket for both families accepts connections of IPv4."""


def peer_uid(connection: socket.socket) -> int:
    """The user id of the program that has accepted a TCP connection over loopback.

    By the two rows of /proc/net/tcp or tcp6 that have the connection's addresses and ports, one at each end. The kernel
    shows no owner (inode 0) until a program has accepted it, which is waited for. Raises :class:`TimeoutError` when
    none does.
    """
    inode = str(os.fstat(connection.fileno()).st_ino)
    end = time.monotonic() + ACCEPT_SECONDS
    while time.monotonic() < end:
        rows = [*_rows("/proc/net/tcp"), *_rows("/proc/net/tcp6")]
        own = next(((row[_LOCAL], row[_REMOTE]) for row in rows if row[_INODE] == inode), None)
        for row in rows:
            if own == (row[_REMOTE], row[_LOCAL]) and row[_INODE] != "0":
                return int(row[_UID])
        time.sleep(0.01)
    port = connection.getpeername()[1]
    raise TimeoutError(f"no program has accepted a connection to port {port} within {ACCEPT_SECONDS:g} s")


def _rows(table: str) -> list[list[str]]:
    try:
        lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # a kernel without IPv6
        return []
    return [line.replace(_MAPPED, "").split() for line in lines]
