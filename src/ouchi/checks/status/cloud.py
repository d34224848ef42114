"""OpenStack and the guests: APIs, nova-compute, servers, QEMU's threads and memory."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ouchi.checks.guests import check_guests, read_domains
from ouchi.checks.status.values import Part, of_check
from ouchi.clients.http import first_page
from ouchi.clients.openstack import Cloud, Row
from ouchi.machine import Machine
from ouchi.parts.settings import Settings
from ouchi.plan import Plan
from ouchi.site import Site

ANSWER_SECONDS = 5.0
"""How long an API may take for its first page, which costs it nothing."""


def api_parts(settings: Settings, name: str) -> list[Part]:
    """One API: any answer but an error of its own."""
    begin = time.monotonic()
    try:
        code = first_page(settings.url(name), ANSWER_SECONDS)
    except OSError as reason:
        return [_api(name, "silent", False, settings.url(name), str(reason))]
    took = f"HTTP {code} in {(time.monotonic() - begin) * 1000:.0f} ms"
    return [_api(name, "answers" if code < 500 else "failing", code < 500, settings.url(name), took)]


def _api(name: str, state: str, ok: bool, url: str, found: str) -> Part:
    return Part("cloud", "API", name, state, ok, found, "HTTP below 500", url, remedy=f"ouchi logs {name}-api")


def nova_parts(settings: Settings, site: Site) -> list[Part]:
    """What nova says: its compute service on this host, and every server of the site."""
    cloud = Cloud(settings.access, ANSWER_SECONDS)
    computes, servers = cloud.rows("nova", "os-services"), cloud.rows("nova", "servers/detail")
    return [compute_part(settings.host, computes), *server_parts(site, servers)]


def compute_part(host: str, services: Iterable[Row]) -> Part:
    """nova's own view of nova-compute on this host."""
    seen = {row["host"]: row for row in services if row["binary"] == "nova-compute"}
    logs = "ouchi logs nova-compute"
    if host not in seen:
        found = f"nova knows: {', '.join(seen) or 'no host'}"
        return Part("cloud", "compute", host, "unknown to nova", False, found, "enabled, up", remedy=logs)
    state, status = str(seen[host]["state"]), str(seen[host]["status"])
    ok = (status, state) == ("enabled", "up")
    return Part("cloud", "compute", host, state, ok, f"{status}, {state}", "enabled, up", remedy=logs)


def server_parts(site: Site, servers: Iterable[Row]) -> list[Part]:
    """Every server of the site, which nova should have once."""
    states: dict[str, list[str]] = {}
    for row in servers:
        states.setdefault(row["name"], []).append(row["status"])
    parts = []
    for server in site.servers:
        found = states.get(server.name, [])
        state = found[0].lower() if len(found) == 1 else "missing" if not found else "there twice"
        shown = ", ".join(found) or "no such server"
        parts.append(Part("servers", "server", server.name, state, found == ["ACTIVE"], shown, "one server, ACTIVE"))
    return parts


def guest_parts(machine: Machine, settings: Settings, plan: Plan) -> list[Part]:
    """QEMU's threads, interfaces and memory, as :mod:`ouchi.checks.verify` checks them."""
    domains = read_domains(machine, settings.instance)
    return [of_check(check, "servers", "guest") for check in check_guests(machine, plan, domains)]
