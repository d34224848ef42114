"""OpenStack and the guests: APIs, nova-compute, servers, QEMU's threads and memory."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

from ouchi.cloud import Settings
from ouchi.cloud.client import connect
from ouchi.machine import Machine
from ouchi.plan import Plan
from ouchi.site import Site
from ouchi.status.values import Part, of_check
from ouchi.verify.guests import check_guests, check_servers, read_domains

ANSWER_SECONDS = 5.0
"""How long an API may take for its first page, which costs it nothing."""


def api_parts(settings: Settings, name: str) -> list[Part]:
    """One API: any answer but an error of its own."""
    begin = time.monotonic()
    # Without the user's proxy: it is our own loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{settings.url(name)}/", timeout=ANSWER_SECONDS) as answer:
            code = int(answer.status)
    except urllib.error.HTTPError as answer:
        code = answer.code
    except OSError as reason:
        return [_api(name, "silent", False, f"{settings.url(name)}: {getattr(reason, 'reason', reason)}")]
    took = f"HTTP {code} in {(time.monotonic() - begin) * 1000:.0f} ms"
    return [_api(name, "answers" if code < 500 else "failing", code < 500, f"{settings.url(name)}: {took}")]


def _api(name: str, state: str, ok: bool, found: str) -> Part:
    return Part("cloud", "API", name, state, ok, found, "HTTP below 500", remedy=f"ouchi logs {name}-api")


def nova_parts(settings: Settings, site: Site) -> list[Part]:
    """What nova says: its compute service on this host, and every server of the site."""
    cloud = connect(settings)
    services = {service.host: service for service in cloud.compute.services(binary="nova-compute")}
    here = services.get(settings.host)
    state = str(here.state) if here else "unknown to nova"
    found = f"{here.status}, {here.state}" if here else f"on {', '.join(services) or 'no host'}"
    compute = Part(
        "cloud", "compute", settings.host, state, state == "up", found, "enabled, up", remedy="ouchi logs nova-compute"
    )
    servers = [
        Part(
            "servers",
            "server",
            server.name,
            "ACTIVE" if check.ok else check.found,
            check.ok,
            check.found,
            check.expected,
            remedy=check.remedy,
        )
        for server, check in zip(site.servers, check_servers(site, cloud), strict=True)
    ]
    return [compute, *servers]


def guest_parts(machine: Machine, settings: Settings, plan: Plan) -> list[Part]:
    """QEMU's threads, interfaces and memory, as :mod:`ouchi.verify` checks them."""
    domains = read_domains(machine, settings.instance)
    return [of_check(check, "servers", "guest") for check in check_guests(machine, plan, domains)]
