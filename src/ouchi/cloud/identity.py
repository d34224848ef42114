"""Keystone's keys, the first administrator, and the services' users and endpoints."""

from __future__ import annotations

import base64
import secrets
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

from ouchi.cloud import PORTS, REGION, Settings
from ouchi.cloud.services import environment
from ouchi.machine import Machine
from ouchi.steps import Outcome, changed, nothing
from ouchi.waiting import NotYet, wait_for

TYPES = {"glance": "image", "placement": "placement", "nova": "compute", "neutron": "network"}
PATHS = {"glance": "", "placement": "", "nova": "/v2.1", "neutron": ""}


def make_keys(machine: Machine, settings: Settings) -> Outcome:
    """Fernet keys for tokens and credentials: 0 is staged, 1 is primary.

    ``keystone-manage fernet_setup`` writes the same (32 random bytes in URL-safe base64, the Fernet
    specification) after three seconds of imports, twice.
    """
    made = []
    for name in ("fernet-keys", "credential-keys"):
        folder = f"{settings.instance.state}/keystone/{name}"
        machine.make_folder(folder, mode=0o700)
        for number in ("0", "1"):
            if not machine.exists(f"{folder}/{number}"):
                key = base64.urlsafe_b64encode(secrets.token_bytes(32))
                machine.write(f"{folder}/{number}", key, mode=0o600)
                made.append(f"{name}/{number}")
    return changed("keys made") if made else nothing("the keys are there")


def bootstrap(machine: Machine, settings: Settings) -> Outcome:
    """The administrator, its project and roles, and keystone's own endpoint; by keystone's own command."""
    mark = f"{settings.instance.state}/keystone/bootstrapped"
    if machine.exists(mark):
        return nothing("the administrator is there")
    public = f"{settings.url('keystone')}/v3"
    machine.run(
        (
            f"{settings.instance.openstack}/bin/keystone-manage",
            "--config-file",
            f"{settings.instance.etc}/keystone/keystone.conf",
            "bootstrap",
            *("--bootstrap-region-id", REGION),
            *("--bootstrap-public-url", public),
            *("--bootstrap-internal-url", public),
            *("--bootstrap-admin-url", public),
        ),
        # Through the environment: an argument would stand in ps.
        env={**environment(settings), "OS_BOOTSTRAP_PASSWORD": settings.secrets["admin"]},
        timeout=120,
    )
    machine.write(mark, "")
    return changed("administrator made")


def wait_for_api(name: str, seconds: float = 120) -> None:
    """Wait until an API answers HTTP with anything but an error of its own."""

    def probe() -> None:
        connection = HTTPConnection("127.0.0.1", PORTS[name], timeout=20)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except HTTPException as reason:
            raise NotYet(repr(reason)) from None
        finally:
            connection.close()
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NotYet(f"HTTP {status}")

    wait_for(f"the {name} API", probe, seconds=seconds, every=0.3, remedy=f"ouchi logs {name}-api")


def register_services(connection: Any, settings: Settings) -> Outcome:
    """Every service's user (with today's password), role, catalogue entry and endpoints."""
    identity = connection.identity
    domain = "default"
    roles = {role.name: role for role in identity.roles()}
    projects = {project.name: project for project in identity.projects()}
    users = {user.name: user for user in identity.users()}
    services = {service.name: service for service in identity.services()}
    endpoints = {(endpoint.service_id, endpoint.interface) for endpoint in identity.endpoints()}
    granted = {
        (grant.user["id"], grant.role["id"]) for grant in identity.role_assignments() if "id" in (grant.user or {})
    }
    made = []
    project = projects.get("service") or identity.create_project(name="service", domain_id=domain)
    role = roles.get("service") or identity.create_role(name="service")
    for name, kind in TYPES.items():
        user = users.get(name)
        if user is None:
            made.append(name)
            user = identity.create_user(name=name, domain_id=domain, password=settings.secrets[name])
        for needed in (roles["admin"], role):
            if (user.id, needed.id) not in granted:
                identity.assign_project_role_to_user(project, user, needed)
        service = services.get(name) or identity.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            if (service.id, interface) not in endpoints:
                identity.create_endpoint(
                    service_id=service.id,
                    interface=interface,
                    url=settings.url(name) + PATHS[name],
                    region_id=REGION,
                )
    return changed(f"users made: {', '.join(made)}") if made else nothing("users and endpoints are there")
