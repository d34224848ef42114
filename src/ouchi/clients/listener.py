"""That a port of loopback is this user's: any user may take a free one above 1023, and would be sent what goes there."""

from __future__ import annotations

import os
import socket

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from ouchi.core.errors import Failed
from ouchi.machine.listeners import peer_uid


class OwnListeners(HTTPAdapter):
    """Requests that are sent only to programs of the user who sends them.

    The owner of the other end is looked at when it has accepted the connection, before anything is sent. Raises
    :class:`~ouchi.core.errors.Failed` when another user has the port.
    """

    def __init__(self) -> None:
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool}


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        try:
            _require_own(self.sock, self.port or 80)
        except BaseException:
            self.close()
            raise


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


def _require_own(connection: socket.socket, port: int) -> None:
    if (uid := peer_uid(connection)) != os.geteuid():
        raise Failed.of(
            "a program of another user answers in place of OpenStack, and was sent nothing",
            where=f"127.0.0.1:{port}",
            found=f"a program of user id {uid}",
            expected=f"one of user id {os.geteuid()}",
            remedy=f"end it (ss -ltnp 'sport = :{port}' shows it), then: ouchi up",
        )
