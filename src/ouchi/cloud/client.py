"""Talking to the cloud with openstacksdk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ouchi.cloud import REGION, Settings

if TYPE_CHECKING:
    from keystoneauth1.session import Session
    from openstack.connection import Connection


def preload() -> None:
    """Import what the others need, which takes a second or two, while something else is waited for."""
    import openstack.connection  # noqa: F401


def authenticate(settings: Settings) -> Session:
    """An administrator's session: one token, which threads may share (keystoneauth locks it)."""
    from keystoneauth1.identity import v3
    from keystoneauth1.session import Session
    from requests import Session as Transport

    transport = Transport()
    # Loopback is no business of a proxy that the user's environment may name.
    transport.trust_env = False
    return Session(
        session=transport,
        auth=v3.Password(
            auth_url=f"{settings.url('keystone')}/v3",
            username="admin",
            password=settings.secrets["admin"],
            project_name="admin",
            user_domain_name="Default",
            project_domain_name="Default",
        ),
    )


def connect(session: Session) -> Connection:
    """A connection for one thread: openstacksdk's are not made for sharing."""
    from openstack.connection import Connection

    return Connection(session=session, region_name=REGION, compute_api_version="2.95", app_name="ouchi")
