"""Every API's user, role, catalogue entry and endpoints in keystone."""

from __future__ import annotations

from ouchi.clients.openstack import Cloud, Row
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.parts import registry
from ouchi.parts.context import Context
from ouchi.parts.openstack.objects import look_for
from ouchi.parts.part import Part, PartState
from ouchi.parts.settings import REGION, Settings

DOMAIN = "default"
INTERFACES = ("public", "internal", "admin")


class Users(Part):
    name = "users"
    stage = "cloud"
    needs = ("keystone",)
    on = "controller"

    def look(self, at: Context) -> PartState:
        return look_for(at, names(), "keystone-api", lambda: complete(at.cloud, at.settings))

    def make(self, at: Context, notify: Notify) -> Outcome:
        return register(at.cloud, at.settings)


def names() -> list[str]:
    """The APIs that have a user; keystone's own is the administrator."""
    return [name for name in registry.endpoints() if name != "keystone"]


def complete(cloud: Cloud, settings: Settings) -> set[str]:
    """The APIs whose user is there and whose endpoints have today's URL."""
    users, services = cloud.named("keystone", "users"), cloud.named("keystone", "services")
    urls = {(row["service_id"], row["interface"]): row["url"] for row in cloud.rows("keystone", "endpoints")}

    def right(name: str) -> bool:
        url = settings.url(name) + registry.endpoints()[name].registered
        return all(urls.get((services[name]["id"], interface)) == url for interface in INTERFACES)

    return {name for name in names() if name in users and name in services and right(name)}


def register(cloud: Cloud, settings: Settings) -> Outcome:
    """Every service's user (with today's password), role, catalogue entry and endpoints."""
    kinds = ("roles", "projects", "users", "services")
    roles, projects, users, services = (cloud.named("keystone", kind) for kind in kinds)
    endpoints = {(row["service_id"], row["interface"]): row for row in cloud.rows("keystone", "endpoints")}
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
    for name in names():
        user = users.get(name)
        if user is None:
            made.append(name)
            user = make("user", name=name, domain_id=DOMAIN, password=settings.secrets[name])
        for needed in (roles["admin"], role):
            if (user["id"], needed["id"]) not in granted:
                cloud.request("PUT", "keystone", f"projects/{project['id']}/users/{user['id']}/roles/{needed['id']}")
    for name, endpoint in registry.endpoints().items():
        service = services.get(name) or make("service", name=name, type=endpoint.type)
        url = settings.url(name) + endpoint.registered
        for interface in INTERFACES:
            there = endpoints.get((service["id"], interface))
            if there is None:
                make("endpoint", service_id=service["id"], interface=interface, url=url, region_id=REGION)
            elif there["url"] != url:  # of an earlier version
                cloud.request("PATCH", "keystone", f"endpoints/{there['id']}", json={"endpoint": {"url": url}})
                made.append(f"the {interface} endpoint of {name}")
    return changed(f"made or updated: {', '.join(made)}") if made else nothing("users and endpoints are there")


PARTS = (Users(),)
