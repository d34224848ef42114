"""The site's servers and their ports in OpenStack's APIs, from the rows that nova and neutron answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ouchi.checks.model import CheckResult, Level, Observation, check, judge
from ouchi.core.errors import error
from ouchi.plan.target import Target
from ouchi.plan.values import counted

Row = Mapping[str, Any]

VIF_TYPE = "vhostuser"


def check_servers(target: Target, servers: Sequence[Row], ports: Sequence[Row]) -> tuple[CheckResult, ...]:
    """Evaluate all checks of this file: ``servers`` are nova's rows in detail, ``ports`` neutron's."""
    return (
        active.result(active.evaluate(target, servers)),
        flavor.result(flavor.evaluate(target, servers)),
        port_binding.result(port_binding.evaluate(target, ports)),
    )


@check("servers.active", Level.RUNNING, "every server of the site is ACTIVE, once")
def active(target: Target, servers: Sequence[Row]) -> Observation:
    """Look for servers that are missing, double or not ACTIVE."""
    problems = [
        error(
            f"the server {server.name} is not ACTIVE",
            found=", ".join(found) or "no such server",
            expected="one server, ACTIVE",
            remedy="ouchi up",
        )
        for server in target.site.servers
        if (found := [row["status"] for row in servers if row["name"] == server.name]) != ["ACTIVE"]
    ]
    return judge(problems, counted(len(target.site.servers), "server"))


@check("servers.flavor", Level.PLACED, "every server has its planned flavor")
def flavor(target: Target, servers: Sequence[Row]) -> Observation:
    """Compare the flavors of servers with the plan; a server that is missing is a finding of ``servers.active``."""
    flavors = {row["name"]: row["flavor"]["original_name"] for row in servers}
    problems = [
        error(
            f"the server {guest.name} has another flavor than planned",
            found=flavors[guest.name],
            expected=guest.flavor,
            remedy=f"ouchi openstack server delete --wait {guest.name}, then: ouchi up",
        )
        for guest in target.plan.guests
        if guest.name in flavors and flavors[guest.name] != guest.flavor
    ]
    return judge(problems, counted(len(target.plan.guests), "server"))


@check("servers.port-binding", Level.PLACED, "every server's ports are bound as vhost-user")
def port_binding(target: Target, ports: Sequence[Row]) -> Observation:
    """Look at ``binding:vif_type`` of every port of the site's servers."""
    types = {row["name"]: row["binding:vif_type"] for row in ports}
    names = [f"{server.name}-{number}" for server in target.site.servers for number in range(len(server.ports))]
    problems = [
        error(
            f"the port {name} is not bound as vhost-user",
            found=f"VIF type {types[name]}" if name in types else "no such port",
            expected=f"VIF type {VIF_TYPE}",
            remedy="ouchi logs neutron-api",
        )
        for name in names
        if types.get(name) != VIF_TYPE
    ]
    return judge(problems, counted(len(names), "port"))
