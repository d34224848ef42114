"""Which servers are pinned, and on which NUMA node each is planned.

A server sits on one node: nova gives it hugepages of one node and its CPUs with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ouchi.core.errors import Finding, error
from ouchi.facts import Core
from ouchi.plan.packing import in_novas_order, pack
from ouchi.plan.values import GuestPlan, NicPlan, Notes, Pools, counted, cpus_text
from ouchi.site import Server, Site

RATIO = 4  # nova's initial_cpu_allocation_ratio: vCPUs per shared CPU


def in_turn(site: Site) -> list[int]:
    """The indexes of the servers in the order in which they get dedicated CPUs.

    Those that must be pinned, then those that may; forwarders first among each, as their packets wait for them.
    """
    ranks = [
        (server.pinned is not True, not server.forwards, index)
        for index, server in enumerate(site.servers)
        if server.pinned is not False
    ]
    return [index for _, _, index in sorted(ranks)]


def place_guests(
    site: Site,
    cores: Sequence[Core],
    nics: Sequence[NicPlan],
    room_mib: Mapping[int, int],
    pools: Pools,
    notes: Notes,
) -> tuple[GuestPlan, ...]:
    """The servers in the file's order, each pinned or not and with a node; what cannot be is an error finding.

    A server goes to the node of the NIC behind its networks, else where threads poll, as far as CPUs and memory last.
    ``room_mib``: memory for guests on each NUMA node that has any.
    """
    node_of = {cpu: core.node for core in cores for cpu in core.cpus}
    dedicated = Counter(node_of[cpu] for cpu in pools.dedicated)
    shared = Counter(node_of[cpu] for cpu in pools.shared)
    home = max(sorted(shared), key=lambda node: (node in room_mib, shared[node]))
    left = Counter(room_mib)
    left[home] -= sum(server.memory_mib for server in site.servers if server.pinned is False)
    polled = {node_of[cpu] for cpu in pools.pmd}
    pinned: dict[int, int] = {}
    for index in in_turn(site):
        server = site.servers[index]
        nic_nodes = _nodes_of_nics(site, index, nics)
        fitting = [node for node in sorted(dedicated) if dedicated[node] >= server.vcpus and node in room_mib]
        if fitting:
            # Memory that is short everywhere becomes a finding when the pages are counted.
            node = min(
                fitting, key=lambda node: (left[node] < server.memory_mib, node not in nic_nodes, node not in polled)
            )
            dedicated[node] -= server.vcpus
            left[node] -= server.memory_mib
            pinned[index] = node
        elif server.pinned is True:
            notes.find(_cannot_pin(site, index, pools, dedicated))
    guests = []
    packed = _packed(site, cores, pools, pinned)
    floating = tuple(cpu for cpu in pools.shared if node_of[cpu] == home)
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
                cpus=packed.get(index, () if is_pinned else floating),
                reason=_reason(server, is_pinned, pools),
            )
        )
    return tuple(guests)


def _nodes_of_nics(site: Site, index: int, nics: Sequence[NicPlan]) -> set[int]:
    """The NUMA nodes of the NICs behind a server's networks."""
    physnet_of = {network.name: network.physnet for network in site.networks}
    physnets = {physnet_of[port.network] for port in site.servers[index].ports}
    return {nic.node for nic in nics if nic.physnet in physnets}


def _packed(site: Site, cores: Sequence[Core], pools: Pools, pinned: dict[int, int]) -> dict[int, tuple[int, ...]]:
    """Return the CPUs where nova puts each pinned server's vCPUs; servers are created in the order of the file."""
    dedicated = set(pools.dedicated)
    packed: dict[int, tuple[int, ...]] = {}
    for node in sorted(set(pinned.values())):
        here = [index for index in sorted(pinned) if pinned[index] == node]
        ordered = in_novas_order(core.cpus for core in cores if core.node == node)
        free = [tuple(cpu for cpu in core if cpu in dedicated) for core in ordered]
        packed |= zip(here, pack(free, [site.servers[index].vcpus for index in here]), strict=True)
    return packed


def allocation_ratio(guests: Sequence[GuestPlan]) -> int:
    """How many vCPUs nova must accept per shared CPU for the unpinned guests; its own 4 where that is enough.

    It counts on each node (``nova.virt.hardware._numa_fit_instance_cell``); all unpinned guests are on one.
    """
    unpinned = [guest for guest in guests if not guest.pinned]
    if not unpinned:
        return RATIO
    return max(RATIO, -(-sum(guest.vcpus for guest in unpinned) // len(unpinned[0].cpus)))


def _reason(server: Server, pinned: bool, pools: Pools) -> str:
    if pinned:
        return "set in the site file" if server.pinned is True else "a dedicated CPU for each vCPU"
    if server.pinned is False:
        return "set in the site file: runs on the shared pool"
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
