"""The site's servers: created, started and waited for until nova and libvirt agree that they run."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ouchi.clients.libvirt import virsh
from ouchi.clients.openstack import Cloud, Row, while_unavailable
from ouchi.core.errors import Failed
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.waiting import NotYet, wait_for
from ouchi.parts.context import Context
from ouchi.parts.guest_image import built
from ouchi.parts.openstack.image import image_name
from ouchi.parts.openstack.networks import port_name
from ouchi.parts.openstack.objects import look_for
from ouchi.parts.part import Part, PartState
from ouchi.parts.settings import MARK
from ouchi.plan import Plan
from ouchi.site import Server, Site
from ouchi.vnf.images.small import Image

TASK, DOMAIN = "OS-EXT-STS:task_state", "OS-EXT-SRV-ATTR:instance_name"
"""What nova is doing with a server, and its name in libvirt, as the API calls them."""
PATIENCE = 20.0
"""Seconds after which a server that only nova believes in is rebooted."""


class Servers(Part):
    name = "servers"
    stage = "servers"
    needs = ("nova-compute", "neutron-ovn-maintenance", "networks", "image", "flavors", "endpoints", "nics")

    def look(self, at: Context) -> PartState:
        names = [server.name for server in at.target.site.servers]
        return look_for(at, names, "nova-api", lambda: active(at.cloud.rows("nova", "servers/detail"), _domains(at)))

    def make(self, at: Context, notify: Notify) -> Outcome:
        site, plan = at.target.site, at.target.plan
        return ensure_servers(at.cloud, site, plan, built(at), lambda: _domains(at), notify)


def active(rows: Sequence[Row], domains: Collection[str]) -> set[str]:
    """Return the names of exactly one server each that is ACTIVE in nova and whose domain runs."""
    names = [row["name"] for row in rows]
    return {
        row["name"]
        for row in rows
        if row["status"] == "ACTIVE" and row[DOMAIN] in domains and names.count(row["name"]) == 1
    }


def _domains(at: Context) -> list[str]:
    """The names of the domains that really run."""
    return virsh(at.machine, at.instance, "list", "--name").split()


def ensure_servers(
    cloud: Cloud, site: Site, plan: Plan, image: Image, running: Callable[[], Collection[str]], notify: Notify
) -> Outcome:
    """Create the servers that are missing, replace those in error, start those that are off; wait for ACTIVE.

    ``running`` tells the names of the domains that really run.
    """
    existing = cloud.named("nova", "servers/detail")
    touched = []
    for server in site.servers:
        known = existing.get(server.name)
        if known is not None and known["status"] == "ERROR":
            _require_ours(known)
            notify(f"{server.name} is in error: replacing it")
            _delete(cloud, known["id"], server.name)
            known = None
        if known is None:
            touched.append(server.name)
            existing[server.name] = _create(cloud, server, plan, image)
        elif known["status"] == "SHUTOFF" and not known[TASK]:
            touched.append(server.name)
            _act(cloud, known["id"], {"os-start": None})
    there = running()
    for server in site.servers:
        known = existing[server.name]
        if server.name not in touched and known["status"] == "ACTIVE" and not known[TASK] and known[DOMAIN] in there:
            continue
        _wait_until_active(cloud, known["id"], server.name, running, notify)
    return changed(f"started: {', '.join(touched)}") if touched else nothing(f"{len(site.servers)} servers are ACTIVE")


def _require_ours(server: Row) -> None:
    """Raise :class:`~ouchi.core.errors.Failed` for a server of another user, which has a name of the site file."""
    if server.get("metadata", {}).get("ouchi") != MARK:
        raise Failed.of(
            f"the server {server['name']} is in error, and is not ouchi's",
            where=f"server {server['id']}",
            found="a server without ouchi's mark in its metadata",
            expected="one that ouchi made, which it would make anew",
            remedy=f"ouchi openstack server delete {server['id']}, or another name in the site file; then: ouchi up",
        )


def _create(cloud: Cloud, server: Server, plan: Plan, image: Image) -> Row:
    """Ask nova for a server on its own ports."""
    guest = next(guest for guest in plan.guests if guest.name == server.name)
    ports = cloud.named("neutron", "ports")
    return cloud.make(
        "nova",
        "servers",
        "server",
        name=server.name,
        imageRef=cloud.named("glance", "images", name=image_name(image), status="active")[image_name(image)]["id"],
        flavorRef=cloud.named("nova", "flavors")[guest.flavor]["id"],
        networks=[{"port": ports[port_name(server, number)]["id"]} for number in range(len(server.ports))],
        metadata={"ouchi": MARK, "ouchi_forwards": str(server.forwards).lower()},
        config_drive=True,
    )


def _act(cloud: Cloud, identifier: str, action: dict[str, Any]) -> None:
    cloud.request("POST", "nova", f"servers/{identifier}/action", json=action)


def _delete(cloud: Cloud, identifier: str, name: str) -> None:
    cloud.request("DELETE", "nova", f"servers/{identifier}")

    def probe() -> None:
        if identifier in {row["id"] for row in cloud.rows("nova", "servers")}:
            raise NotYet("nova still has it")

    wait_for(
        f"server {name} to be gone", while_unavailable(probe), seconds=60, every=0.5, remedy="ouchi logs nova-compute"
    )


def _wait_until_active(
    cloud: Cloud, identifier: str, name: str, running: Callable[[], Collection[str]], notify: Notify
) -> None:
    """Wait for nova and libvirt to agree that a server runs; one that only nova believes in is rebooted once."""
    begin, last, rebooted = time.monotonic(), "", False

    def probe() -> None:
        nonlocal last, rebooted
        server: Row = cloud.read("nova", f"servers/{identifier}")["server"]
        if server["status"] == "ERROR":
            fault = server.get("fault", {}).get("message", "no message")
            raise Failed.of(
                f"server {name} is in error", found=fault, expected="ACTIVE", remedy="ouchi logs nova-compute"
            )
        state = f"{server['status'].lower()} {server[TASK] or ''}".strip()
        if state == "shutoff":
            # Its guest died shortly before: nova learns it only now.
            _act(cloud, identifier, {"os-start": None})
        if state == "active" and server[DOMAIN] not in running():
            state = "active in nova, but no guest runs"
            if not rebooted and time.monotonic() - begin > PATIENCE:
                rebooted = True
                _act(cloud, identifier, {"reboot": {"type": "HARD"}})
        if state != last:
            last = state
            notify(f"{name}: {state} ({time.monotonic() - begin:.0f} s)")
        if state != "active":
            raise NotYet(state)

    wait_for(
        f"server {name} to be ACTIVE",
        while_unavailable(probe),
        seconds=240,
        every=0.5,
        remedy="ouchi logs nova-compute",
    )


PARTS = (Servers(),)
