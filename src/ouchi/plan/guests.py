"""Which servers are pinned, and on which NUMA node each is planned.

A server sits on one node: nova gives it hugepages of one node and its CPUs with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from ouchi.errors import Finding, error
from ouchi.facts import Core
from ouchi.plan.values import GuestPlan, Notes, Pools, counted, cpus_text
from ouchi.site import Server, Site

RATIO = 4  # nova's initial_cpu_allocation_ratio: vCPUs per shared CPU


def in_turn(site: Site) -> list[int]:
    """The servers' places in the file in the order in which they get dedicated CPUs.

    Those that must be pinned, then those that may; forwarders first among each, as their packets wait for them.
    """

    def rank(index: int) -> tuple[bool, bool, int]:
        server = site.servers[index]
        return server.pinned is not True, not server.forwards, index

    return sorted((index for index, server in enumerate(site.servers) if server.pinned is not False), key=rank)


def place_guests(
    site: Site,
    cores: Sequence[Core],
    memory_nodes: Collection[int],
    pools: Pools,
    pmd_nodes: tuple[int, ...],
    notes: Notes,
) -> tuple[GuestPlan, ...]:
    """The servers in the file's order, each pinned or not and with a node; what cannot be is an error finding.

    ``memory_nodes``: the NUMA nodes that have memory, as a server's pages and CPUs are on one node.
    """
    node_of = {cpu: core.node for core in cores for cpu in core.cpus}
    dedicated = Counter(node_of[cpu] for cpu in pools.dedicated)
    shared = Counter(node_of[cpu] for cpu in pools.shared)
    near = sorted(set(dedicated) & set(memory_nodes), key=lambda node: (node not in pmd_nodes, node))
    home = max(sorted(shared), key=lambda node: shared[node])
    pinned: dict[int, int] = {}
    for index in in_turn(site):
        server = site.servers[index]
        node = next((node for node in near if dedicated[node] >= server.vcpus), None)
        if node is not None:
            dedicated[node] -= server.vcpus
            pinned[index] = node
        elif server.pinned is True:
            notes.find(_cannot_pin(site, index, pools, dedicated))
    guests = []
    for index, server in enumerate(site.servers):
        is_pinned = index in pinned or server.pinned is True
        if not is_pinned and server.vcpus > shared[home]:
            notes.find(_too_wide(site, index, pools, shared[home]))
        guests.append(
            GuestPlan(
                name=server.name,
                vcpus=server.vcpus,
                memory_mib=server.memory_mib,
                pinned=is_pinned,
                node=pinned.get(index, home),
                reason=_reason(server, is_pinned, pools),
            )
        )
    return tuple(guests)


def allocation_ratio(guests: Sequence[GuestPlan], pools: Pools) -> int:
    """How many vCPUs nova must accept per shared CPU for the unpinned guests; its own 4 where that is enough."""
    unpinned = sum(guest.vcpus for guest in guests if not guest.pinned)
    return max(RATIO, -(-unpinned // len(pools.shared)))


def _reason(server: Server, pinned: bool, pools: Pools) -> str:
    if pinned:
        return "your file says so" if server.pinned is True else "a dedicated CPU for each vCPU"
    if server.pinned is False:
        return "your file says so: runs on the shared pool"
    if not pools.dedicated:
        return "this machine has no dedicated CPU: runs on the shared pool"
    return "no dedicated CPU left: runs on the shared pool"


def _cannot_pin(site: Site, index: int, pools: Pools, dedicated: Counter[int]) -> Finding:
    server = site.servers[index]
    return error(
        f"the server {server.name} cannot be pinned",
        where=site.where("servers", index, "pinned"),
        found=f"it has {counted(server.vcpus, 'vCPU')}; the dedicated pool is {cpus_text(pools.dedicated)}, of which "
        f"{max(dedicated.values(), default=0)} are left on one NUMA node",
        expected="a free dedicated CPU for each vCPU, all on one NUMA node",
        remedy='fewer vcpus, "pinned: auto", or a larger dedicated pool',
    )


def _too_wide(site: Site, index: int, pools: Pools, most: int) -> Finding:
    # nova refuses more vCPUs than there are CPUs on the node (hardware._numa_fit_instance_cell), whatever the ratio.
    server = site.servers[index]
    return error(
        f"the server {server.name} has more vCPUs than the shared pool has CPUs, which nova refuses",
        where=site.where("servers", index, "vcpus"),
        found=f"{counted(server.vcpus, 'vCPU')}; the shared pool is {cpus_text(pools.shared)}",
        expected=f"at most {counted(most, 'vCPU')} when it is not pinned",
        remedy="fewer vcpus, or a larger shared pool",
    )
