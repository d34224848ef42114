"""OpenStack's APIs, as the administrator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ouchi.core.waiting import NotYet

T = TypeVar("T")

MICROVERSION = "2.95"
"""Of nova's API (2023.1): flavors with their extra specs, servers with their flavor's name."""

Row = Mapping[str, Any]
"""A resource as the API's reference describes it."""


@dataclass(frozen=True, slots=True)
class Access:
    """The URLs of the APIs, and the administrator's password. ``urls``: each API's base URL, its version included."""

    urls: Mapping[str, str]
    password: str = field(repr=False)


def while_unavailable(probe: Callable[[], T]) -> Callable[[], T]:
    """A probe for :func:`~ouchi.core.waiting.wait_for`, repeated while an API answers with a server error or not at all.

    Services that have just started answer so while those that they need come up.
    """

    def unavailable() -> T:
        from keystoneauth1.exceptions import ConnectFailure, HttpServerError

        try:
            return probe()
        except (ConnectFailure, HttpServerError) as reason:
            raise NotYet(str(reason)) from None

    return unavailable


class Cloud:
    """Requests to the five APIs with one token, which keystoneauth gets and renews; threads may share it.

    These are keystoneauth's requests and not openstacksdk's because importing the latter costs a second, a third of
    all that ``up`` with nothing to do may take, and the few calls that are made read the same.

    Every call raises keystoneauth's exceptions, which carry what the API said.
    """

    def __init__(self, access: Access, timeout: float = 60.0) -> None:
        """``timeout`` is for each answer, in seconds."""
        # Imported here: half a second that commands without a cloud need not pay.
        from keystoneauth1.identity import v3
        from keystoneauth1.session import Session
        from requests import Session as Transport

        transport = Transport()
        # Loopback is no business of a proxy that the user's environment may name.
        transport.trust_env = False
        self._urls = access.urls
        self._session = Session(
            session=transport,
            timeout=timeout,
            auth=v3.Password(
                auth_url=access.urls["keystone"],
                username="admin",
                password=access.password,
                project_name="admin",
                user_domain_name="Default",
                project_domain_name="Default",
            ),
        )

    def authenticate(self) -> None:
        """Get the token, unless there is one. Threads that need it wait for it."""
        self._session.get_token()

    def rows(self, service: str, path: str, **query: str) -> list[Row]:
        """Every resource of a collection: ``flavors/detail`` answers with ``flavors``, ``os-services`` with ``services``.

        One page, which holds as many as the API gives at once (nova 1000, glance 25).
        """
        answer = self.read(service, path, **query)
        return list(answer[path.partition("/")[0].removeprefix("os-")])

    def named(self, service: str, path: str, **query: str) -> dict[str, Row]:
        """The resources of a collection by name; the first of those with the same."""
        rows = self.rows(service, path, **query)
        return {row["name"]: row for row in reversed(rows)}

    def read(self, service: str, path: str, **query: str) -> dict[str, Any]:
        """The response of one URL."""
        answer: dict[str, Any] = self.request("GET", service, path, params=query).json()
        return answer

    def make(self, service: str, path: str, kind: str, **values: Any) -> Row:
        """A new resource of ``kind``, in the envelope of that name."""
        answer: Row = self.request("POST", service, path, json={kind: values}).json()[kind]
        return answer

    def request(self, method: str, service: str, path: str, **options: Any) -> Any:
        """Any request; ``options`` are those of requests. The answer is a ``requests.Response``."""
        if service == "nova":
            options |= {"microversion": MICROVERSION, "microversion_service_type": "compute"}
        return self._session.request(f"{self._urls[service]}/{path}", method, **options)
