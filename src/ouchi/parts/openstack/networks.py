"""VLAN provider networks of the site, their subnets, and the ports of every server."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from ouchi.clients.openstack import Cloud
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.parts.context import Context
from ouchi.parts.openstack.objects import look_for
from ouchi.parts.part import Part, PartState
from ouchi.parts.settings import MARK
from ouchi.site import Network, Server, Site


class Networks(Part):
    name = "networks"
    stage = "network"
    needs = ("users", "neutron", "rabbitmq")
    on = "controller"

    def look(self, at: Context) -> PartState:
        site = at.target.site
        names = [network.name for network in site.networks]
        names += [port_name(server, number) for server in site.servers for number in range(len(server.ports))]
        return look_for(
            at,
            names,
            "neutron-api",
            lambda: {*at.cloud.named("neutron", "networks"), *at.cloud.named("neutron", "ports")},
        )

    def make(self, at: Context, notify: Notify) -> Outcome:
        return ensure_networks(at.cloud, at.target.site)


def ensure_networks(cloud: Cloud, site: Site) -> Outcome:
    """VLAN provider networks, their subnets, and the ports of every server.

    No security groups on them: they are data-plane networks, and connection tracking would be measured too.
    """
    networks, subnets, ports = (cloud.named("neutron", kind) for kind in ("networks", "subnets", "ports"))
    made = []
    for network in site.networks:
        found = networks.get(network.name)
        if found is None:
            made.append(network.name)
            physical = {"network_type": "vlan", "physical_network": network.physnet, "segmentation_id": network.vlan}
            found = networks[network.name] = cloud.make(
                "neutron",
                "networks",
                "network",
                name=network.name,
                description=MARK,
                shared=True,
                mtu=network.mtu,
                port_security_enabled=False,
                **{f"provider:{key}": value for key, value in physical.items()},
            )
        if network.name not in subnets:
            subnets[network.name] = cloud.make("neutron", "subnets", "subnet", **_subnet(network, found["id"]))
    for server in site.servers:
        for number, port in enumerate(server.ports):
            name = port_name(server, number)
            if name not in ports:
                fixed: dict[str, str] = {"subnet_id": subnets[port.network]["id"]}
                if port.address:
                    fixed["ip_address"] = str(port.address)
                made.append(name)
                network_id = networks[port.network]["id"]
                cloud.make(
                    "neutron", "ports", "port", name=name, description=MARK, network_id=network_id, fixed_ips=[fixed]
                )
    return changed(f"made: {', '.join(made)}") if made else nothing(f"{len(site.networks)} networks are there")


def port_name(server: Server, number: int) -> str:
    """The name of a server's port in neutron."""
    return f"{server.name}-{number}"


def _subnet(network: Network, identifier: str) -> dict[str, Any]:
    """A subnet; the gateway and the host's own endpoint stay out of what neutron hands out."""
    # Without a gateway OVN sends no DHCP options at all.
    gateway = network.gateway or network.subnet[1]
    taken = {int(address) for address in (gateway, network.endpoint) if address}
    return {
        "name": network.name,
        "description": MARK,
        "network_id": identifier,
        "ip_version": 4,
        "cidr": str(network.subnet),
        "gateway_ip": str(gateway),
        "allocation_pools": _around(int(network.subnet[1]), int(network.subnet[-2]), taken),
    }


def _around(first: int, last: int, holes: set[int]) -> list[dict[str, str]]:
    """Ranges from ``first`` to ``last`` without ``holes``."""
    ranges, start = [], first
    for hole in sorted(holes | {last + 1}):
        if hole > start:
            ranges.append({"start": str(IPv4Address(start)), "end": str(IPv4Address(hole - 1))})
        start = hole + 1
    return ranges


PARTS = (Networks(),)
