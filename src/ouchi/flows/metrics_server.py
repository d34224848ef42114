"""An HTTP server with one page, ``/metrics``: small requests, few at a time, each with a time limit.

The standard library's: prometheus_client's own server has neither a limit of connections nor a time limit.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import BoundedSemaphore
from typing import Any

from ouchi.core.errors import BadInput, OuchiError

MOST_CONNECTIONS = 16
"""More are closed at once."""
REQUEST_SECONDS = 10.0
"""How long a client may take to send its request, or to read the answer."""

Page = Callable[[str], tuple[bytes, str]]
"""Makes the page for an Accept header: its content and type. Raises :class:`TimeoutError`."""


class MetricsServer(ThreadingHTTPServer):
    """Serves a page at an address (host, port) until it is closed. Raises BadInput where it cannot listen there."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, address: tuple[str, int], page: Page) -> None:
        self.page = page
        self._free = BoundedSemaphore(MOST_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            super().__init__(address, _Handler)
        except OSError as reason:
            raise BadInput.of(
                "ouchi cannot listen there",
                where=url(address),
                found=reason.strerror or str(reason),
                expected="an address of this host and a free port",
                remedy="ouchi metrics --listen 127.0.0.1:PORT",
            ) from None

    def server_bind(self) -> None:
        """Bind without looking up the host's name, as the base class would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a request in a thread, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle it, then make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was too slow, is nobody's error."""


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = REQUEST_SECONDS
    server_version = "ouchi"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer /metrics; everything else is not found."""
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, b"ouchi: the metrics are at /metrics\n")
            return
        try:
            content, content_type = self.server.page(self.headers.get("Accept", ""))
        except TimeoutError:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"ouchi: the host could not be read in time\n")
        except (OuchiError, OSError) as reason:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"ouchi: {reason}\n".encode())
        else:
            self._answer(HTTPStatus.OK, content, content_type)

    def do_HEAD(self) -> None:
        """As GET, without the content."""
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a scrape every few seconds is no news."""

    def _answer(self, status: HTTPStatus, content: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def parse_listen(text: str) -> tuple[str, int]:
    """``127.0.0.1:9779`` or ``[::1]:9779`` as host and port. Raises BadInput."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address, number = ip_address(bare), int(port) if port.isascii() and port.isdecimal() else -1
        if not colon or not 0 <= number <= 65535 or (address.version == 6) != (bare != host):
            raise ValueError
    except ValueError:
        raise BadInput.of(
            "this is no address to listen on",
            where="--listen",
            found=text,
            expected="ADDRESS:PORT, such as 127.0.0.1:9779 or [::1]:9779",
            remedy="ouchi metrics --listen 127.0.0.1:9779",
        ) from None
    return bare, number


def is_loopback(host: str) -> bool:
    """Whether only this host reaches an address."""
    return ip_address(host).is_loopback


def url(address: tuple[Any, ...]) -> str:
    """The URL of the page at a socket's address."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{host}:{address[1]}/metrics"
