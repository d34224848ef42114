"""Whether an HTTP API responds: its version page, which needs no token."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ouchi.core.waiting import NotYet, wait_for


def first_page(url: str, seconds: float) -> int:
    """The HTTP status of the first page at an ``http`` URL; below 500 the API works, even when it refuses the request.

    Raises :class:`OSError` when nothing that is HTTP comes within ``seconds``. A proxy that the environment may name
    is not used: the API is ours.
    """
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port or 80, timeout=seconds)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except HTTPException as reason:
        raise ConnectionError(repr(reason)) from None
    finally:
        connection.close()


def wait_for_api(name: str, url: str, seconds: float = 120) -> None:
    """Wait until an API answers with anything but a server error; ``seconds`` bounds the wait."""

    def probe() -> None:
        if (status := first_page(url, 20)) >= 500:
            raise NotYet(f"HTTP {status}")

    wait_for(f"the {name} API", probe, seconds=seconds, every=0.3, remedy=f"ouchi logs {name}-api")
