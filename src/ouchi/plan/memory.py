"""Hugepages: how many OVS-DPDK and the guests need on each NUMA node, and whether they fit.

Pages of 2 MiB, because the kernel can still hand those out while it runs: nothing here needs a reboot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ouchi.errors import Finding, error
from ouchi.facts import Facts
from ouchi.plan.mempools import MTU, pool_bytes, port_mbufs, shared_mbufs
from ouchi.plan.values import GuestPlan, HugepageNeed, NicPlan, Notes, Pools, counted
from ouchi.site import Site

PAGE_KIB = 2048
SMALL_KIB = 32 * 1024 * 1024  # below 32 GiB OVS keeps a pool for each port rather than a large shared one
SPARE_PORTS = 4  # vhost-user ports that can be added later without more memory
EAL_MIB = 64  # DPDK itself: queues, rings, vhost devices
STEP_MIB = 64  # socket memory is rounded up to this
SPARE_MIB = 32  # what OVS may still allocate beyond its socket memory
CONTROL_MIB = 2560  # OpenStack's services and Linux: 2.0 GiB measured, and room to breathe


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Memory by NUMA node in MiB: OVS's socket memory, and the pages that OVS and the guests need."""

    socket_mib: dict[int, int]
    per_port: bool
    hugepages: tuple[HugepageNeed, ...]
    reserved_pages: dict[int, int]

    @property
    def reserved_host_mib(self) -> int:
        """What nova may give to no guest: the control plane and OVS's pages."""
        return CONTROL_MIB + sum(self.reserved_pages.values()) * PAGE_KIB // 1024


def plan_memory(
    site: Site, facts: Facts, pools: Pools, nics: Sequence[NicPlan], guests: Sequence[GuestPlan], notes: Notes
) -> MemoryPlan:
    """The hugepages of a host; what does not fit is an error finding with the numbers."""
    ports = _ports(site, facts, pools, nics, guests)
    per_port = _choose_model(facts, ports, len(pools.pmd), len(nics), notes)
    pool_mib = {node: _pools_mib(ports[node], len(pools.pmd), per_port) for node in ports}
    socket_mib = {node: -(-(mib + EAL_MIB) // STEP_MIB) * STEP_MIB for node, mib in pool_mib.items()}
    reserved = {node: _pages(mib + SPARE_MIB) for node, mib in socket_mib.items()}
    guest_pages: Counter[int] = Counter()
    for guest in guests:
        guest_pages[guest.node] += _pages(guest.memory_mib)
    needs = []
    for node in sorted({*reserved, *guest_pages}):
        count = reserved.get(node, 0) + guest_pages[node]
        needs.append(HugepageNeed(node, PAGE_KIB, count))
        notes.because(
            f"hugepages node {node}",
            f"{count} of 2 MiB",
            f"{counted(count, 'page')}, {count * 2} MiB: {socket_mib.get(node, 0)} MiB for OVS-DPDK (packet buffers "
            f"{pool_mib.get(node, 0)} MiB, DPDK itself {EAL_MIB} MiB, rounded up to {STEP_MIB}), "
            f"{guest_pages[node] * 2} MiB for guests, {SPARE_MIB} MiB spare",
        )
    _check_fit(site, facts, needs, pools, notes)
    return MemoryPlan(socket_mib, per_port, tuple(needs), reserved)


@dataclass(frozen=True, slots=True)
class _Ports:
    """DPDK ports on a node: receive queues of each NIC, and how many vhost-user ports."""

    nic_queues: tuple[int, ...]
    vhost: int


def _ports(
    site: Site, facts: Facts, pools: Pools, nics: Sequence[NicPlan], guests: Sequence[GuestPlan]
) -> dict[int, _Ports]:
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    queues: dict[int, list[int]] = {}
    for nic in nics:
        queues.setdefault(nic.node, []).append(len(pools.pmd))
    # The buffers of a vhost-user port are on its guest's node.
    vhost = Counter({node_of[min(pools.pmd)]: SPARE_PORTS})
    for server, guest in zip(site.servers, guests, strict=True):
        vhost[guest.node] += len(server.ports)
    return {node: _Ports(tuple(queues.get(node, ())), vhost[node]) for node in sorted({*queues, *vhost})}


def _choose_model(facts: Facts, ports: dict[int, _Ports], pmds: int, nics: int, notes: Notes) -> bool:
    """Whether each port gets a pool of its own."""
    total_kib = sum(node.total_kib for node in facts.memory)
    per_port = sum(_pools_mib(of_node, pmds, True) for of_node in ports.values())
    shared = sum(_pools_mib(of_node, pmds, False) for of_node in ports.values())
    vhost = sum(of_node.vhost for of_node in ports.values())
    what = (
        f"{counted(vhost, 'vhost-user port')} ({SPARE_PORTS} of them spare), {counted(nics, 'NIC')}, MTU {MTU}, "
        f"{counted(pmds, 'polling thread')}: {per_port} MiB with a pool per port, {shared} MiB with shared pools"
    )
    chosen = total_kib < SMALL_KIB and per_port < shared
    if chosen:
        because = f"{what}; this machine has {total_kib / 1024 / 1024:.1f} GiB, less than {SMALL_KIB // 1024**2} GiB"
    elif total_kib < SMALL_KIB:
        because = f"{what}; shared is the smaller"
    else:
        because = f"{what}; with {total_kib / 1024 / 1024:.0f} GiB the larger pool is affordable and harder to exhaust"
    notes.because("packet buffers", "a pool per port" if chosen else "shared pools", because)
    return chosen


def _pools_mib(ports: _Ports, pmds: int, per_port: bool) -> int:
    if not per_port:
        return _mib(pool_bytes(shared_mbufs(MTU)))
    nics = sum(pool_bytes(port_mbufs(queues, pmds)) for queues in ports.nic_queues)
    return _mib(nics + ports.vhost * pool_bytes(port_mbufs(1, pmds)))


def _check_fit(site: Site, facts: Facts, needs: Sequence[HugepageNeed], pools: Pools, notes: Notes) -> None:
    nodes = {node.node: node for node in facts.memory}
    host_node = next(cpu.node for cpu in facts.cpus if cpu.id == pools.host[0])
    missing_kib = {}
    for need in needs:
        node = nodes.get(need.node)
        pool = node.pool(PAGE_KIB) if node else None
        if node is None or pool is None:
            notes.find(_no_pages(need.node, facts))
            continue
        # Pages that are already set aside cost nothing: planning a running host again finds room for the same plan.
        missing_kib[need.node] = max(0, need.count - pool.total) * PAGE_KIB
        control = CONTROL_MIB * 1024 if need.node == host_node else 0
        if missing_kib[need.node] and missing_kib[need.node] > node.free_kib - control:
            notes.find(_too_little(site, need, node.free_kib, control, pool.total))
            return
    total = sum(missing_kib.values())
    available = facts.system.memory_available_kib
    if len(nodes) > 1 and total and total > available - CONTROL_MIB * 1024:
        everything = HugepageNeed(-1, PAGE_KIB, sum(need.count for need in needs))
        notes.find(_too_little(site, everything, available, CONTROL_MIB * 1024, everything.count - total // PAGE_KIB))


def _too_little(site: Site, need: HugepageNeed, free_kib: int, control_kib: int, there: int) -> Finding:
    place = f"NUMA node {need.node}" if need.node >= 0 else "this machine"
    room = max(0, free_kib - control_kib) // 1024
    return error(
        f"{place} has too little memory for OVS-DPDK and the servers",
        where=site.where("servers"),
        found=f"{need.count} hugepages of 2 MiB are needed ({need.count * 2} MiB, {there * 2} MiB of it already set "
        f"aside); {free_kib // 1024} MiB are available, of which the control plane needs {control_kib // 1024} MiB",
        expected=f"at most {room + there * 2} MiB in hugepages",
        remedy="fewer servers or less memory for each, or end what uses this machine's memory",
    )


def _no_pages(node: int, facts: Facts) -> Finding:
    if len({cpu.node for cpu in facts.cpus}) > 1 and node not in {memory.node for memory in facts.memory}:
        return error(
            f"NUMA node {node} has no memory, but a NIC, a polling thread or a server of the plan is there",
            where=f"/sys/devices/system/node/node{node}",
            expected="memory on every NUMA node that takes part",
            remedy="move the NIC or the memory to the other socket, or set the pools in your file",
        )
    sizes = sorted({pool.size_kib for memory in facts.memory for pool in memory.hugepages})
    return error(
        "the kernel offers no hugepages of 2 MiB" + (f" on NUMA node {node}" if len(facts.memory) > 1 else ""),
        where="/sys/kernel/mm/hugepages",
        found=", ".join(f"pages of {size} KiB" for size in sizes) or "no hugepages at all",
        expected="pages of 2048 KiB, which OVS-DPDK and the guests share",
        remedy="a kernel with CONFIG_HUGETLBFS; in a container, the host's /sys",
    )


def _mib(number: int) -> int:
    return -(-number // (1024 * 1024))


def _pages(mib: int) -> int:
    return -(-mib * 1024 // PAGE_KIB)
