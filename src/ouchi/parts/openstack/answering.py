"""Whether an API answers at all: its first page, which costs it nothing and asks for no token."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

from ouchi.core.waiting import NotYet, wait_for
from ouchi.parts.settings import PORTS


def first_page(name: str, seconds: float) -> int:
    """The HTTP status of an API's first page; below 500 the API works, whatever it thinks of the question.

    Raises :class:`OSError` when nothing that is HTTP comes within ``seconds``. No proxy that the user's environment
    may name is asked: it is our own loopback address.
    """
    connection = HTTPConnection("127.0.0.1", PORTS[name], timeout=seconds)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except HTTPException as reason:
        raise ConnectionError(repr(reason)) from None
    finally:
        connection.close()


def wait_for_api(name: str, seconds: float = 120) -> None:
    """Wait until an API answers with anything but an error of its own."""

    def probe() -> None:
        if (status := first_page(name, 20)) >= 500:
            raise NotYet(f"HTTP {status}")

    wait_for(f"the {name} API", probe, seconds=seconds, every=0.3, remedy=f"ouchi logs {name}-api")
