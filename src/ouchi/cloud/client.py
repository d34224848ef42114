"""Talking to the cloud with openstacksdk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ouchi.cloud import REGION, Settings

if TYPE_CHECKING:
    from openstack.connection import Connection


def connect(settings: Settings) -> Connection:
    """An administrator's connection to the embedded cloud."""
    import openstack

    return openstack.connection.Connection(
        auth={
            "auth_url": f"{settings.url('keystone')}/v3",
            "username": "admin",
            "password": settings.secrets["admin"],
            "project_name": "admin",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        region_name=REGION,
        identity_interface="public",
        compute_api_version="2.95",
        app_name="ouchi",
    )
