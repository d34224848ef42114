"""What is not together in a plan and costs packets for it: networks across NUMA nodes, guests on unlike cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ouchi.core.errors import Finding, info, warning
from ouchi.facts import Core
from ouchi.facts.verdict import OVS
from ouchi.plan.values import GuestPlan, NicPlan, Pools, cpus_text
from ouchi.site import Site


def locality(
    site: Site, cores: Sequence[Core], pools: Pools, nics: Sequence[NicPlan], guests: Sequence[GuestPlan]
) -> Iterator[Finding]:
    """A finding for each network whose packets cross NUMA nodes, and for each guest on cores of unlike kinds."""
    core_of = {cpu: core for core in cores for cpu in core.cpus}
    polled = {core_of[cpu].node for cpu in pools.pmd}
    for index, network in enumerate(site.networks):
        ports = [
            guest
            for server, guest in zip(site.servers, guests, strict=True)
            if any(port.network == network.name for port in server.ports)
        ]
        on = {f"the NIC {nic.name or nic.address}": nic.node for nic in nics if _carries(nic, network.physnet)}
        on |= {f"the server {guest.name}": guest.node for guest in ports}
        nodes = set(on.values())
        if ports and (len(nodes) > 1 or not nodes <= polled):
            level = warning if any(guest.pinned for guest in ports) else info
            there = (f"node {node}: {', '.join(name for name in on if on[name] == node)}" for node in sorted(nodes))
            yield level(
                f"packets of the network {network.name} cross between NUMA nodes",
                where=site.where("networks", index, "name"),
                found=f"{'; '.join(there)}; PMD threads on node {cpus_text(polled)}",
                expected="its servers, its NIC and a PMD thread on one node: memory of another node is slower to reach",
                remedy="the NIC in a slot of the other socket, smaller servers, or cpus.pmd in the site file",
            )
    for index, guest in enumerate(guests):
        kinds = {core_of[cpu].kind for cpu in guest.cpus} if guest.pinned else set()
        if len(kinds) > 1:
            yield info(
                f"vCPUs of the server {guest.name} are on cores of unlike speed",
                where=site.where("servers", index, "vcpus"),
                found=", ".join(
                    f"{kind} {cpus_text(cpu for cpu in guest.cpus if core_of[cpu].kind == kind)}"
                    for kind in sorted(kinds, reverse=True)
                ),
                expected="cores of one kind: the slowest vCPU decides the rate of a guest that spreads its work evenly",
                remedy="fewer vcpus, or cpus.dedicated with cores of one kind in the site file",
            )


def _carries(nic: NicPlan, physnet: str) -> bool:
    return nic.role == OVS and nic.physnet == physnet
