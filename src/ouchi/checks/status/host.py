"""The machine and the switch: hugepages, mount, PMD threads, bridges, endpoints, vhost-user ports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ouchi.checks.dataplane import check_switch, polled_ports
from ouchi.checks.status.values import Part, of_check
from ouchi.clients import ovs as client
from ouchi.core.instance import Instance
from ouchi.facts import Facts
from ouchi.machine import Machine
from ouchi.parts import device, endpoint, ovs
from ouchi.parts import hugetlbfs as mount
from ouchi.parts.openstack.resources import port_name
from ouchi.plan import Plan
from ouchi.plan.target import bridges_of
from ouchi.site import Site
from ouchi.steps.journal import Journal

Rows = Sequence[Mapping[str, object]]


def hugepage_parts(facts: Facts, plan: Plan) -> list[Part]:
    """Pages of each node: enough of them that ours are there."""
    nodes = {node.node: node for node in facts.memory}
    parts = []
    for need in plan.hugepages:
        pool = nodes[need.node].pool(need.size_kib) if need.node in nodes else None
        have, free = (pool.total, pool.free) if pool else (0, 0)
        parts.append(
            Part(
                "host",
                "hugepages",
                f"node {need.node}",
                "reserved" if have >= need.count else "too few",
                have >= need.count,
                f"{have} of {need.size_kib // 1024} MiB, {free} free",
                f"{need.count} planned",
            )
        )
    return parts


def mount_part(machine: Machine, instance: Instance) -> Part:
    """The hugetlbfs mount for the guests' memory."""
    there = mount.is_mounted(machine, instance.hugepages)
    state = "mounted" if there else "not mounted"
    return Part("host", "", "hugetlbfs", state, there, instance.hugepages, "a hugetlbfs mounted there")


def switch_parts(machine: Machine, instance: Instance, plan: Plan) -> list[Part]:
    """PMD threads and DPDK's devices, as :mod:`ouchi.checks.verify` checks them."""
    return [of_check(check, "dataplane", "switch") for check in check_switch(machine, instance, plan)]


def bridge_parts(machine: Machine, instance: Instance, site: Site, journal: Journal) -> list[Part]:
    """The bridges of the plan in OVS, and the endpoints on them."""
    rows = client.tables(machine, instance, "Bridge", ("name", "datapath_type"))
    types = {str(row["name"]): str(row["datapath_type"]) for row in rows}
    bridges = bridges_of(site)
    points = endpoint.endpoints(site, bridges)
    devices = journal.records(device.KIND)
    parts = []
    for name in dict.fromkeys((ovs.INTEGRATION, *bridges.values(), *(endpoint.outside(p.physnet) for p in points))):
        found = types.get(name, "")
        state = "there" if found == "netdev" else "missing" if not found else "not as planned"
        shown = f"datapath_type={found}" if found else "no such bridge"
        parts.append(Part("dataplane", "bridge", name, state, found == "netdev", shown, "datapath_type=netdev"))
    for point in points:
        space = point.namespace(instance)
        missing = [] if machine.exists(f"/run/netns/{space}") else [f"namespace {space}"]
        own = [device for device, record in devices.items() if record.get("namespace") in (None, space)]
        missing += [f"device {name}" for name in own if not machine.exists(f"/sys/class/net/{name}")]
        parts.append(
            Part(
                "dataplane",
                "endpoint",
                point.network,
                "missing" if missing else "there",
                not missing,
                f"no {', no '.join(missing)}" if missing else f"{point.address} on VLAN {point.vlan} in {space}",
                f"{point.address} on VLAN {point.vlan} in namespace {space}",
            )
        )
    return parts


def port_parts(machine: Machine, instance: Instance, site: Site) -> list[Part]:
    """The vhost-user ports of the site's servers; OVN's database has their names, so OpenStack is not asked."""
    words = ("ovn-nbctl", f"--db=unix:{instance.ovn_socket}", "--no-leader-only", "--timeout=5", "--format=json")
    text = machine.run((*words, "--columns=name,external_ids", "list", "Logical_Switch_Port"), timeout=6).stdout
    rows = client.tables(machine, instance, "Interface", ("name", "type", "external_ids"))
    names = [port_name(server, number) for server in site.servers for number in range(len(server.ports))]
    return ports_seen(names, client.parse_rows(text), rows, polled_ports(machine, instance))


def ports_seen(names: Sequence[str], logical: Rows, interfaces: Rows, polled: Collection[str]) -> list[Part]:
    """Each port by its neutron name: OVN says which interface of OVS it is."""
    identifiers = {_map(row["external_ids"]).get("neutron:port_name"): row["name"] for row in logical}
    by_identifier = {_map(row["external_ids"]).get("iface-id"): row for row in interfaces}
    parts = []
    for name in names:
        row = by_identifier.get(identifiers.get(name, ""), {})
        kind, queue = str(row.get("type", "no interface")), "polled" if row.get("name") in polled else "not polled"
        ok = (kind, queue) == ("dpdkvhostuserclient", "polled")
        seen = f"{row['name']}, {kind}, queue {queue}" if row else "no interface in OVS"
        state = "connected" if ok else "not connected"
        remedy = "ouchi logs ovs-vswitchd" if row else "ouchi up"
        parts.append(
            Part("dataplane", "port", name, state, ok, seen, "dpdkvhostuserclient, queue polled", remedy=remedy)
        )
    return parts


def _map(value: object) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
