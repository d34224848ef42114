"""Hugepages: how many OVS-DPDK and the guests need on each NUMA node, and whether they fit.

Pages of 2 MiB, because the kernel can still hand those out while it runs: nothing here needs a reboot. Where enough
pages of 1 GiB are reserved already (by kernel parameters, at boot), those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ouchi.core.errors import Finding, error, warning
from ouchi.facts import Facts
from ouchi.facts.verdict import OVS
from ouchi.plan.mempools import MTU, mbuf_bytes, pool_bytes, port_mbufs, shared_mbufs
from ouchi.plan.nodes import main_node
from ouchi.plan.values import GuestPlan, HugepageNeed, NicPlan, Notes, Pools, counted, cpus_text
from ouchi.site import Site
from ouchi.site.values import LEAST_MIB

PAGE_KIB, GIANT_KIB = 2048, 1024 * 1024
SMALL_KIB = 32 * 1024 * 1024  # below 32 GiB OVS keeps a pool for each port rather than a large shared one
SPARE_PORTS = 4  # vhost-user ports that can be added later without more memory
ENDPOINT_PORTS = 3  # of each endpoint: its own port and both ends of its cable
EAL_MIB = 64  # DPDK itself: queues, rings, vhost devices
STEP_MIB = 64  # socket memory is rounded up to this
SPARE_MIB = 32  # what OVS may still allocate beyond its socket memory
CONTROL_MIB = 2560  # OpenStack's services and Linux: 2.0 GiB measured, and room to breathe


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Memory by NUMA node in MiB: OVS's socket memory, and the pages that OVS and the guests need."""

    socket_mib: dict[int, int]
    per_port: bool
    page_kib: int
    hugepages: tuple[HugepageNeed, ...]
    reserved_pages: dict[int, int]

    @property
    def reserved_host_mib(self) -> int:
        """Memory that nova must not give to guests: the control plane and OVS's pages."""
        return CONTROL_MIB + sum(self.reserved_pages.values()) * self.page_kib // 1024


def plan_memory(
    site: Site, facts: Facts, pools: Pools, nics: Sequence[NicPlan], guests: Sequence[GuestPlan], notes: Notes
) -> MemoryPlan:
    """The hugepages of a host; what does not fit is an error finding with the numbers."""
    ports = _ports(site, facts, pools, nics, guests)
    per_port = _choose_model(facts, ports, len(pools.pmd), notes)
    pool_mib = {node: _pools_mib(ports[node], len(pools.pmd), per_port) for node in ports}
    socket_mib = {node: -(-(mib + EAL_MIB) // STEP_MIB) * STEP_MIB for node, mib in pool_mib.items()}
    guest_mib: dict[int, list[int]] = {}
    for guest in guests:
        guest_mib.setdefault(guest.node, []).append(guest.memory_mib)
    size = _page_size(facts, socket_mib, guest_mib, notes)
    reserved = {node: _pages(mib + SPARE_MIB, size) for node, mib in socket_mib.items()}
    needs = []
    for node in sorted({*reserved, *guest_mib}):
        guest_pages = sum(_pages(mib, size) for mib in guest_mib.get(node, ()))
        count = reserved.get(node, 0) + guest_pages
        needs.append(HugepageNeed(node, size, count))
        notes.because(
            f"hugepages node {node}",
            f"{count} of {_size(size)}",
            f"{counted(count, 'page')}, {count * size // 1024} MiB: {socket_mib.get(node, 0)} MiB for OVS-DPDK (packet "
            f"buffers {pool_mib.get(node, 0)} MiB, DPDK itself {EAL_MIB} MiB, rounded up to {STEP_MIB}), "
            f"{sum(guest_mib.get(node, ()))} MiB for guests, {SPARE_MIB} MiB spare",
        )
    _check_fit(site, facts, needs, pools, notes)
    notes.findings += _no_room(site, facts, pools, {node: count * size for node, count in reserved.items()})
    return MemoryPlan(socket_mib, per_port, size, tuple(needs), reserved)


def is_polled(mtu: int) -> bool:
    """Whether PMD threads poll an endpoint with this MTU: DPDK's net_af_packet has 1500 bytes at most (before 26.07)."""
    return mtu <= MTU


def room_mib(site: Site, facts: Facts, pools: Pools) -> dict[int, int]:
    """About how much memory guests can have on each NUMA node that has any: all but the control plane's and OVS's."""
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    polled, main = {node_of[cpu] for cpu in pools.pmd}, main_node(facts, pools)
    mtus = {MTU, *(network.mtu for network in site.networks)}
    ovs = EAL_MIB + STEP_MIB + SPARE_MIB + _pools_mib(_Ports({}, Counter(mtus)), len(pools.pmd), per_port=False)
    return {
        node.node: node.free_kib // 1024
        + sum(pool.total * pool.size_kib for pool in node.hugepages) // 1024
        - (CONTROL_MIB if node.node == main else 0)
        - (ovs if node.node in polled else EAL_MIB + SPARE_MIB if node.node == main else 0)
        for node in facts.memory
    }


def _page_size(facts: Facts, socket_mib: Mapping[int, int], guest_mib: Mapping[int, list[int]], notes: Notes) -> int:
    """1 GiB where enough of those are reserved and every guest's memory is a multiple; else 2 MiB."""
    there = {node.node: pool.total for node in facts.memory if (pool := node.pool(GIANT_KIB))}
    if not sum(there.values()):
        return PAGE_KIB
    need = {
        node: _pages(socket_mib.get(node, 0) + SPARE_MIB * (node in socket_mib), GIANT_KIB)
        + sum(_pages(mib, GIANT_KIB) for mib in guest_mib.get(node, ()))
        for node in {*socket_mib, *guest_mib}
    }
    if any(mib % 1024 for sizes in guest_mib.values() for mib in sizes):
        why = "a server's memory is no multiple of 1 GiB"
    elif any(there.get(node, 0) < count for node, count in need.items()):
        short = next(node for node, count in sorted(need.items()) if there.get(node, 0) < count)
        why = f"on NUMA node {short} {there.get(short, 0)} of 1 GiB are reserved, {need[short]} are needed"
    else:
        notes.because("hugepage size", "1 GiB", "enough are reserved already: fewer TLB misses")
        return GIANT_KIB
    notes.because("hugepage size", "2 MiB", why)
    return PAGE_KIB


@dataclass(frozen=True, slots=True)
class _Ports:
    """DPDK ports on a node by MTU: Rx queues of each NIC, how many vhost-user ports, and how many of endpoints."""

    nic_queues: dict[int, list[int]]
    vhost: Counter[int]
    endpoints: Counter[int] = field(default_factory=Counter)


def _ports(
    site: Site, facts: Facts, pools: Pools, nics: Sequence[NicPlan], guests: Sequence[GuestPlan]
) -> dict[int, _Ports]:
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    mtu_of = {network.name: network.mtu for network in site.networks}
    ports: dict[int, _Ports] = {}

    def on(node: int) -> _Ports:
        return ports.setdefault(node, _Ports({}, Counter(), Counter()))

    for nic in nics:
        if nic.role == OVS:
            mtu = max((network.mtu for network in site.networks if network.physnet == nic.physnet), default=MTU)
            on(nic.node).nic_queues.setdefault(mtu, []).append(len(nic.rxqs))
    # The buffers of a vhost-user port are on its guest's node.
    polled = node_of[min(pools.pmd)]
    with_memory = [node.node for node in facts.memory]
    on(polled if polled in with_memory or not with_memory else with_memory[0]).vhost[MTU] += SPARE_PORTS
    main = on(main_node(facts, pools))  # the data that all ports share, and virtual devices
    for network in site.networks:
        if network.endpoint and is_polled(network.mtu):
            main.endpoints[network.mtu] += ENDPOINT_PORTS
    for server, guest in zip(site.servers, guests, strict=True):
        for port in server.ports:
            on(guest.node).vhost[mtu_of[port.network]] += 1
    return dict(sorted(ports.items()))


def _choose_model(facts: Facts, ports: dict[int, _Ports], pmds: int, notes: Notes) -> bool:
    """Whether each port has its own mempool."""
    total_kib = sum(node.total_kib for node in facts.memory)
    per_port = sum(_pools_mib(of_node, pmds, True) for of_node in ports.values())
    shared = sum(_pools_mib(of_node, pmds, False) for of_node in ports.values())
    vhost = sum(of_node.vhost.total() for of_node in ports.values())
    nics = sum(len(queues) for of_node in ports.values() for queues in of_node.nic_queues.values())
    points = sum(of_node.endpoints.total() for of_node in ports.values())
    mtus = sorted({mtu for of_node in ports.values() for mtu in (*of_node.vhost, *of_node.nic_queues)})
    of_endpoints = f"{counted(points, 'port')} of endpoints, " if points else ""
    what = (
        f"{counted(vhost, 'vhost-user port')} ({SPARE_PORTS} of them spare), {of_endpoints}{counted(nics, 'NIC')}, MTU "
        f"{' and '.join(map(str, mtus))}, {counted(pmds, 'PMD thread')}: {per_port} MiB with a pool per port, "
        f"{shared} MiB with shared pools"
    )
    chosen = total_kib < SMALL_KIB and per_port < shared
    if chosen:
        because = f"{what}; this machine has {total_kib / 1024 / 1024:.1f} GiB, less than {SMALL_KIB // 1024**2} GiB"
    elif total_kib < SMALL_KIB:
        because = f"{what}; shared pools are smaller"
    else:
        because = f"{what}; with {total_kib / 1024 / 1024:.0f} GiB the larger pool fits and is harder to exhaust"
    notes.because("packet buffers", "a pool per port" if chosen else "shared pools", because)
    return chosen


def _pools_mib(ports: _Ports, pmds: int, per_port: bool) -> int:
    if not per_port:
        # Ports whose buffers are of one size share a pool.
        sizes = {mbuf_bytes(mtu): mtu for mtu in sorted({*ports.nic_queues, *ports.vhost, *ports.endpoints})}
        return _mib(sum(pool_bytes(shared_mbufs(mtu), mtu) for mtu in sizes.values()))
    nics = sum(
        pool_bytes(port_mbufs(queues, pmds), mtu) for mtu, several in ports.nic_queues.items() for queues in several
    )
    others = ports.vhost + ports.endpoints
    return _mib(nics + sum(count * pool_bytes(port_mbufs(1, pmds), mtu) for mtu, count in others.items()))


def _check_fit(site: Site, facts: Facts, needs: Sequence[HugepageNeed], pools: Pools, notes: Notes) -> None:
    nodes = {node.node: node for node in facts.memory}
    host_node = main_node(facts, pools)
    missing_kib: dict[int, int] = {}
    for need in needs:
        node = nodes.get(need.node)
        pool = node.pool(need.size_kib) if node else None
        if node is None or pool is None:
            notes.find(_no_pages(need.node, facts))
            continue
        # Pages that are already reserved cost nothing: planning a running host again finds room for the same plan.
        missing_kib[need.node] = max(0, need.count - pool.total) * need.size_kib
        control = CONTROL_MIB * 1024 if need.node == host_node else 0
        if missing_kib[need.node] and missing_kib[need.node] > node.free_kib - control:
            notes.find(_too_little(site, need, node.free_kib, control, pool.total))
            missing_kib[need.node] = 0  # reported already
    total = sum(missing_kib.values())
    available = facts.system.memory_available_kib
    if len(nodes) > 1 and total and total > available - CONTROL_MIB * 1024:
        everything = HugepageNeed(-1, needs[0].size_kib, sum(need.count for need in needs))
        there = everything.count - total // everything.size_kib
        notes.find(_too_little(site, everything, available, CONTROL_MIB * 1024, there))


def _no_room(site: Site, facts: Facts, pools: Pools, ovs_kib: Mapping[int, int]) -> Iterator[Finding]:
    """CPUs for pinned guests on nodes whose memory goes to OVS-DPDK and the control plane: they can hold no guest."""
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    for node in facts.memory:
        cpus = [cpu for cpu in pools.dedicated if node_of[cpu] == node.node]
        control = CONTROL_MIB * 1024 if node.node == main_node(facts, pools) else 0
        there = sum(pool.total * pool.size_kib for pool in node.hugepages)
        room = there + max(0, node.free_kib - control) - ovs_kib.get(node.node, 0)
        if cpus and room < LEAST_MIB * 1024:
            yield warning(
                f"NUMA node {node.node} has no memory for guests, though CPUs for pinned guests",
                where=site.where("cpus"),
                found=f"CPUs {cpus_text(cpus)}; {max(0, room) // 1024} MiB without OVS-DPDK and the control plane",
                expected=f"{LEAST_MIB} MiB or more, or these CPUs in the host's pool",
                remedy="more memory on this node, or cpus.host and cpus.dedicated in the site file",
            )


def _too_little(site: Site, need: HugepageNeed, free_kib: int, control_kib: int, there: int) -> Finding:
    subject = f"NUMA node {need.node}" if need.node >= 0 else "this machine"
    room, mib = max(0, free_kib - control_kib) // 1024, need.size_kib // 1024
    return error(
        f"{subject} has too little memory for OVS-DPDK and the servers",
        where=site.where("servers"),
        found=f"{need.count} hugepages of {_size(need.size_kib)} are needed ({need.count * mib} MiB, "
        f"{there * mib} MiB of it already reserved); {free_kib // 1024} MiB are available, of which the control plane needs {control_kib // 1024} MiB",
        expected=f"at most {room + there * mib} MiB in hugepages",
        remedy="fewer servers or less memory for each, or stop other users of this host's memory",
    )


def _no_pages(node: int, facts: Facts) -> Finding:
    if node not in {memory.node for memory in facts.memory}:
        return error(
            f"NUMA node {node} has no memory, but a NIC or a server of the plan is there",
            where=f"/sys/devices/system/node/node{node}",
            expected="memory on every NUMA node that takes part",
            remedy="move the NIC or memory modules, or make each socket one node in the firmware (NPS1; SNC off)",
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


def _pages(mib: int, size_kib: int) -> int:
    return -(-mib * 1024 // size_kib)


def _size(size_kib: int) -> str:
    return "1 GiB" if size_kib == GIANT_KIB else "2 MiB"
