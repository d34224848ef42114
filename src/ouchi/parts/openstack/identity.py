"""Keystone's keys, the first administrator, and the services' users and endpoints."""

from __future__ import annotations

import base64
import secrets

from ouchi.clients.openstack import Cloud, Row
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.openstack.services import environment
from ouchi.parts.settings import REGION, Settings

DOMAIN = "default"
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


def register_services(cloud: Cloud, settings: Settings) -> Outcome:
    """Every service's user (with today's password), role, catalogue entry and endpoints."""
    kinds = ("roles", "projects", "users", "services")
    roles, projects, users, services = (cloud.named("keystone", kind) for kind in kinds)
    endpoints = {(endpoint["service_id"], endpoint["interface"]) for endpoint in cloud.rows("keystone", "endpoints")}
    granted = {
        (grant["user"]["id"], grant["role"]["id"])
        for grant in cloud.rows("keystone", "role_assignments")
        if "user" in grant
    }
    made = []

    def make(kind: str, **values: str) -> Row:
        return cloud.make("keystone", f"{kind}s", kind, **values)

    project = projects.get("service") or make("project", name="service", domain_id=DOMAIN)
    role = roles.get("service") or make("role", name="service")
    for name, kind in TYPES.items():
        user = users.get(name)
        if user is None:
            made.append(name)
            user = make("user", name=name, domain_id=DOMAIN, password=settings.secrets[name])
        for needed in (roles["admin"], role):
            if (user["id"], needed["id"]) not in granted:
                cloud.request("PUT", "keystone", f"projects/{project['id']}/users/{user['id']}/roles/{needed['id']}")
        service = services.get(name) or make("service", name=name, type=kind)
        url = settings.url(name) + PATHS[name]
        for interface in ("public", "internal", "admin"):
            if (service["id"], interface) not in endpoints:
                make("endpoint", service_id=service["id"], interface=interface, url=url, region_id=REGION)
    return changed(f"users made: {', '.join(made)}") if made else nothing("users and endpoints are there")
