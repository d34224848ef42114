"""The switch as it really runs: PMD threads on CPUs, vhost-user ports, VLAN tags in the datapath's flows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ouchi.checks.check import Check
from ouchi.checks.traffic import Path
from ouchi.clients import ovs
from ouchi.clients.openstack import Cloud
from ouchi.core.cpulist import format_cpus, parse_cpus
from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.plan import Plan
from ouchi.site import Site


def switch_pid(machine: Machine, instance: Instance) -> int:
    """ovs-vswitchd's process, 0 when there is none."""
    path = f"{instance.ovs}/ovs-vswitchd.pid"
    return int(machine.read(path)) if machine.exists(path) else 0


def pmd_cpus(machine: Machine, instance: Instance) -> list[tuple[int, ...]]:
    """The CPUs that each running PMD thread may use, read from the threads themselves."""
    task = f"/proc/{switch_pid(machine, instance)}/task"
    found = []
    for thread in machine.entries(task):
        status = machine.read(f"{task}/{thread}/status")
        if re.search(r"^Name:\s*pmd-c", status, re.MULTILINE):
            listed = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status, re.MULTILINE)
            found.append(parse_cpus(listed[1]) if listed else ())
    return sorted(found)


def check_switch(machine: Machine, instance: Instance, plan: Plan) -> list[Check]:
    """DPDK with an allow list, and one PMD thread on each CPU of the pool."""
    found = pmd_cpus(machine, instance)
    extra = ovs.vsctl(machine, instance, "get", "Open_vSwitch", ".", "other_config:dpdk-extra").strip().strip('"')
    return [
        Check(
            "PMD threads run where planned",
            found == [(cpu,) for cpu in plan.pools.pmd],
            "; ".join(format_cpus(cpus) for cpus in found) or "no PMD thread",
            f"one thread on each of {format_cpus(plan.pools.pmd)}",
            "ouchi logs ovs-vswitchd",
        ),
        Check(
            "DPDK is kept from the machine's own NICs",
            extra == "--no-pci" or "-a " in extra,
            extra or "no dpdk-extra",
            "--no-pci, or an allow list (-a)",
        ),
    ]


def polled_ports(machine: Machine, instance: Instance) -> frozenset[str]:
    """The interfaces with a queue that a PMD thread polls and that the guest has enabled.

    This is the switch's own view. OVSDB's ``link_state`` can stay ``down`` on a port that carries packets: seen with
    OVS 3.1 after a restart, when the guest connects while the port is being made.
    """
    return parse_polled(ovs.appctl(machine, instance, "dpif-netdev/pmd-rxq-show").stdout)


def parse_polled(text: str) -> frozenset[str]:
    """The names of ports with an enabled queue in the text of ``pmd-rxq-show``."""
    return frozenset(re.findall(r"port: (\S+)\s+queue-id:\s+\d+ \(enabled\)", text))


def check_ports(machine: Machine, instance: Instance, site: Site, cloud: Cloud) -> list[Check]:
    """Every server's port is vhost-user in neutron and connected in OVS."""
    rows = ovs.tables(machine, instance, "Interface", ("name", "type", "external_ids"))
    polled = polled_ports(machine, instance)
    interfaces = {}
    for row in rows:
        external = row["external_ids"]
        if isinstance(external, dict) and "iface-id" in external:
            interfaces[external["iface-id"]] = row
    ports = cloud.named("neutron", "ports")
    checks = []
    for server in site.servers:
        for number, _port in enumerate(server.ports):
            port = ports.get(name := f"{server.name}-{number}")
            row = interfaces.get(port["id"], {}) if port is not None else {}
            vif = port["binding:vif_type"] if port is not None else "no such port"
            kind = str(row["type"]) if row else "no interface in OVS"
            queue = "polled" if row and row["name"] in polled else "not polled"
            checks.append(
                Check(
                    f"port {name} is a connected vhost-user port",
                    (vif, kind, queue) == ("vhostuser", "dpdkvhostuserclient", "polled"),
                    f"VIF type {vif}, {kind}, queue {queue}",
                    "VIF type vhostuser, dpdkvhostuserclient, queue polled by a PMD thread and enabled by the guest",
                    "ouchi logs ovs-vswitchd",
                )
            )
    return checks


def check_vlans(machine: Machine, instance: Instance, site: Site, paths: Iterable[Path]) -> list[Check]:
    """The tags of the networks with an endpoint, just pinged from, stand in the datapath's flows.

    Between two guests of one host no frame is tagged; to the endpoint every one is.
    """
    flows = ovs.appctl(machine, instance, "dpctl/dump-flows", "netdev@ovs-netdev").stdout
    seen = {int(vid) for vid in re.findall(r"vlan\(vid=(\d+)", flows)}
    crossed = {path.namespace_of for path in paths}
    return [
        Check(
            f"VLAN {network.vlan} is in the datapath's flows",
            network.vlan in seen,
            f"tags seen: {', '.join(map(str, sorted(seen))) or 'none'}",
            f"flows that match or push VLAN {network.vlan}",
        )
        for network in site.networks
        if network.name in crossed
    ]
