"""The site in OpenStack: networks, image, flavors, servers. Everything is found by name before it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

from ouchi.clients.openstack import Cloud, Row
from ouchi.core.errors import Failed, error
from ouchi.core.events import Say
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine.local import LocalMachine
from ouchi.plan import Plan
from ouchi.plan.flavors import extra_specs, flavor_name
from ouchi.site import Network, Server, Site
from ouchi.vnf.images.small import Image

MARK = "made by ouchi"
TASK, DOMAIN = "OS-EXT-STS:task_state", "OS-EXT-SRV-ATTR:instance_name"
"""What nova is doing with a server, and its name in libvirt, as the API calls them."""
PATIENCE = 20.0
"""Seconds after which a server that only nova believes in is rebooted."""


def ensure_networks(cloud: Cloud, site: Site) -> Outcome:
    """VLAN provider networks, their subnets, and the ports of every server.

    No security groups on them: they are data-plane networks, and connection tracking would be measured too.
    """
    networks, subnets, ports = (cloud.named("neutron", kind) for kind in ("networks", "subnets", "ports"))
    made = []
    for wanted in site.networks:
        network = networks.get(wanted.name)
        if network is None:
            made.append(wanted.name)
            physical = {"network_type": "vlan", "physical_network": wanted.physnet, "segmentation_id": wanted.vlan}
            network = networks[wanted.name] = cloud.make(
                "neutron",
                "networks",
                "network",
                name=wanted.name,
                description=MARK,
                shared=True,
                mtu=wanted.mtu,
                port_security_enabled=False,
                **{f"provider:{key}": value for key, value in physical.items()},
            )
        if wanted.name not in subnets:
            subnets[wanted.name] = cloud.make("neutron", "subnets", "subnet", **_subnet(wanted, network["id"]))
    for server in site.servers:
        for number, port in enumerate(server.ports):
            name = port_name(server, number)
            if name not in ports:
                fixed: dict[str, str] = {"subnet_id": subnets[port.network]["id"]}
                if port.address:
                    fixed["ip_address"] = str(port.address)
                made.append(name)
                network = networks[port.network]["id"]
                cloud.make(
                    "neutron", "ports", "port", name=name, description=MARK, network_id=network, fixed_ips=[fixed]
                )
    return changed(f"made: {', '.join(made)}") if made else nothing(f"{len(site.networks)} networks are there")


def port_name(server: Server, number: int) -> str:
    """The name of a server's port in neutron."""
    return f"{server.name}-{number}"


def _subnet(wanted: Network, network: str) -> dict[str, Any]:
    """A subnet; the gateway and the host's own endpoint stay out of what neutron hands out."""
    # Without a gateway OVN sends no DHCP options at all.
    gateway = wanted.gateway or wanted.subnet[1]
    taken = {int(address) for address in (gateway, wanted.endpoint) if address}
    return {
        "name": wanted.name,
        "description": MARK,
        "network_id": network,
        "ip_version": 4,
        "cidr": str(wanted.subnet),
        "gateway_ip": str(gateway),
        "allocation_pools": _around(int(wanted.subnet[1]), int(wanted.subnet[-2]), taken),
    }


def _around(first: int, last: int, holes: set[int]) -> list[dict[str, str]]:
    """Ranges from ``first`` to ``last`` without ``holes``."""
    ranges, start = [], first
    for hole in sorted(holes | {last + 1}):
        if hole > start:
            ranges.append({"start": str(IPv4Address(start)), "end": str(IPv4Address(hole - 1))})
        start = hole + 1
    return ranges


def image_name(image: Image) -> str:
    """The name of a guest image in glance: another image has another name."""
    return f"ouchi-guest-{image.key[:12]}"


def ensure_image(machine: LocalMachine, cloud: Cloud, image: Image, say: Say) -> Outcome:
    """Upload the guest image under its key; one that is only half there is replaced."""
    name = image_name(image)
    for known in cloud.rows("glance", "images", name=name):
        if known["status"] == "active":
            return nothing(f"{name} is there")
        cloud.request("DELETE", "glance", f"images/{known['id']}")
    say(f"uploading {image.size / 2**20:.0f} MiB")
    properties = {
        "name": name,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
        "hw_vif_model": "virtio",
        "hw_disk_bus": "virtio",
        # libvirt has no ejectable virtio disk, and small kernels have no AHCI: the config drive comes by SCSI.
        "hw_cdrom_bus": "scsi",
        "hw_scsi_model": "virtio-scsi",
        "hw_rng_model": "virtio",
        "description": MARK,
    }
    made = cloud.request("POST", "glance", "images", json=properties).json()
    content, headers = machine.read_bytes(image.path), {"Content-Type": "application/octet-stream"}
    cloud.request("PUT", "glance", f"images/{made['id']}/file", data=content, headers=headers)
    return changed(f"{name} uploaded")


def ensure_flavors(cloud: Cloud, plan: Plan) -> Outcome:
    """A flavor for each shape of guest in the plan."""
    known = cloud.named("nova", "flavors/detail")
    made = []
    for guest in plan.guests:
        name = flavor_name(guest)
        specs = extra_specs(guest)
        flavor = known.get(name)
        if flavor is not None and specs.items() <= flavor["extra_specs"].items():
            continue
        made.append(name)
        if flavor is None:
            shape = {"vcpus": guest.vcpus, "ram": guest.memory_mib, "disk": 1}
            flavor = cloud.make("nova", "flavors", "flavor", name=name, description=MARK, **shape)
        # A request of its own: a run that was killed before it has left a flavor without them.
        cloud.make("nova", f"flavors/{flavor['id']}/os-extra_specs", "extra_specs", **specs)
        known[name] = {**flavor, "extra_specs": specs}
    return changed(f"made: {', '.join(made)}") if made else nothing(f"{len(plan.guests)} flavors are there")


def wait_for_compute(cloud: Cloud, host: str, since: datetime) -> None:
    """Wait until nova's scheduler can place a server on this node.

    A record of an earlier life says "up" for a minute: only a report after ``since``, the start of nova-compute,
    counts. By then it has also resumed the guests that ran before.
    """

    def probe() -> None:
        services = cloud.rows("nova", "os-services", binary="nova-compute", host=host)
        if not any(_reported(service) >= since for service in services):
            raise NotYet("nova-compute has not reported")
        if not cloud.rows("nova", "os-hypervisors"):
            raise NotYet("the node is not mapped to its cell")
        # nova saves the node, NUMA topology included, before it tells placement what there is to have.
        inventories = [
            cloud.read("placement", f"resource_providers/{provider['uuid']}/inventories")["inventories"]
            for provider in cloud.rows("placement", "resource_providers")
        ]
        if not any("MEMORY_MB" in inventory for inventory in inventories):
            raise NotYet("placement does not know what the node has")

    wait_for("nova-compute", probe, seconds=180, every=0.5, remedy="ouchi logs nova-compute")


def _reported(service: Row) -> datetime:
    """When nova-compute last reported; the API leaves it empty until the second report of a new node."""
    if service["updated_at"]:
        return datetime.fromisoformat(service["updated_at"]).replace(tzinfo=UTC)
    return datetime.max.replace(tzinfo=UTC) if service["state"] == "up" else datetime.min.replace(tzinfo=UTC)


def ensure_servers(
    cloud: Cloud, site: Site, plan: Plan, image: Image, running: Callable[[], Collection[str]], say: Say
) -> Outcome:
    """Create the servers that are missing, replace those in error, start those that are off; wait for ACTIVE.

    ``running`` tells the names of the domains that really run.
    """
    existing = cloud.named("nova", "servers/detail")
    touched = []
    for server in site.servers:
        known = existing.get(server.name)
        if known is not None and known["status"] == "ERROR":
            say(f"{server.name} is in error: replacing it")
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
        _wait_until_active(cloud, known["id"], server.name, running, say)
    return changed(f"started: {', '.join(touched)}") if touched else nothing(f"{len(site.servers)} servers are ACTIVE")


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
        flavorRef=cloud.named("nova", "flavors")[flavor_name(guest)]["id"],
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

    wait_for(f"server {name} to be gone", probe, seconds=60, every=0.5, remedy="ouchi logs nova-compute")


def _wait_until_active(
    cloud: Cloud, identifier: str, name: str, running: Callable[[], Collection[str]], say: Say
) -> None:
    """Wait for nova and libvirt to agree that a server runs; one that only nova believes in is rebooted once."""
    begin, last, rebooted = time.monotonic(), "", False

    def probe() -> None:
        nonlocal last, rebooted
        server: Row = cloud.read("nova", f"servers/{identifier}")["server"]
        if server["status"] == "ERROR":
            fault = server.get("fault", {}).get("message", "no message")
            raise Failed(
                error(f"server {name} is in error", found=fault, expected="ACTIVE", remedy="ouchi logs nova-compute")
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
            say(f"{name}: {state} ({time.monotonic() - begin:.0f} s)")
        if state != "active":
            raise NotYet(state)

    wait_for(f"server {name} to be ACTIVE", probe, seconds=240, every=0.5, remedy="ouchi logs nova-compute")
