"""Memory: Open vSwitch's own arithmetic with its published examples, page sizes, and what does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ouchi.core.errors import BadInput
from ouchi.facts import Facts, HugepagePool, MemoryNode
from ouchi.plan import make_plan
from ouchi.plan.mempools import mbuf_bytes, pool_bytes, port_mbufs, shared_mbufs
from tests.plans import because, claims, facts_of, server, site_with

MIB, GIB_KIB = 1024, 1024 * 1024
NIC = "nics: [{nic: ens4f0, physnet: physnet1}]"
TWO_NODES = "dual-socket-nic-on-node-1"


def with_pages(facts: Facts, *pools: tuple[int, int], free_kib: int | None = None) -> Facts:
    """The host with these hugepages (KiB, count) set aside on every node."""
    pages = tuple(HugepagePool(size, count, count) for size, count in pools)
    nodes = tuple(
        replace(node, hugepages=pages, free_kib=node.free_kib if free_kib is None else free_kib)
        for node in facts.memory
    )
    return replace(facts, memory=nodes)


def test_buffer_sizes_of_memory_rst() -> None:
    sizes = {mtu: mbuf_bytes(mtu) for mtu in (1500, 1800, 6000, 9000)}
    assert sizes == {1500: 3008, 1800: 3008, 6000: 7104, 9000: 10176}
    assert mbuf_bytes(2048) - 128 - 832 == 3072  # the frame is rounded, not the MTU
    assert shared_mbufs(1500) * mbuf_bytes(1500) // 1024**2 == 752


@pytest.mark.parametrize(("mtu", "mbufs"), [(68, 16384), (998, 16384), (999, 262144), (1400, 262144), (9000, 262144)])
def test_the_pool_is_judged_by_what_fits_its_buffers(mtu: int, mbufs: int) -> None:
    """lib/netdev-dpdk.c asks for a pool of FRAME_LEN_TO_MTU(dpdk_buf_size(mtu)): 1134 up to MTU 998, then 2158."""
    assert shared_mbufs(mtu) == mbufs


def test_per_port_buffers_of_memory_rst() -> None:
    assert port_mbufs(1, 1) == 22560
    assert port_mbufs(1, 2) == 24608
    # The document's third example takes one burst where its own formula takes one for each Rx queue.
    assert port_mbufs(2, 2) == 26656 + 32
    assert [n * mbuf_bytes(mtu) // 10**6 for n, mtu in ((22560, 1500), (24608, 6000), (26688, 9000))] == [67, 174, 271]
    assert pool_bytes(22560) > 22560 * 3008


def test_each_size_of_buffer_has_a_shared_pool_of_its_own() -> None:
    facts = facts_of("ampere-altra-q80-30")
    networks = "".join(
        f"  - {{name: n{mtu}, vlan: {mtu // 10}, mtu: {mtu}, subnet: 10.{mtu // 100}.0.0/24}}\n"
        for mtu in (1400, 1500, 6000, 9000)
    )
    socket = {}
    for mtus in ((1500,), (1400, 1500), (1500, 9000), (1500, 6000, 9000)):
        servers = "".join(server(f"s{mtu}", 1, network=f"n{mtu}") for mtu in mtus)
        socket[mtus] = int(make_plan(site_with("", servers, networks), facts).ovs_other_config["dpdk-socket-mem"])
    assert socket[1500,] == socket[1400, 1500] == 832  # 758 MiB and 64 for DPDK itself, in steps of 64
    assert socket[1500, 9000] - socket[1500,] in range(2544 - 64, 2560 + 64)  # 262144 × 10176 bytes more
    assert socket[1500, 6000, 9000] - socket[1500, 9000] in range(1776 - 64, 1790 + 64)  # 262144 × 7104 bytes


def test_a_jumbo_network_costs_its_nic_and_its_ports() -> None:
    network = "  - {name: left, vlan: 101, mtu: 9000, subnet: 10.101.0.0/24}\n"
    plan = make_plan(site_with(NIC, networks=network), facts_of(TWO_NODES))
    assert "MTU 1500 and 9000" in because(plan, "packet buffers")
    assert int(plan.ovs_other_config["dpdk-socket-mem"].split(",")[1]) >= 758 + 2546


def test_small_machines_have_a_pool_for_each_port() -> None:
    small, large = (make_plan(site_with(), facts_of(name)) for name in ("vm-8-cpus", "ampere-altra-q80-30"))
    assert small.ovs_other_config["per-port-memory"] == "true"
    assert "per-port-memory" not in large.ovs_other_config


def test_an_endpoint_costs_its_three_ports_on_the_main_threads_node() -> None:
    def mib(name: str, endpoint: str = "", mtu: int = 1500) -> list[int]:
        left = f"  - {{name: left, physnet: physnet1, vlan: 101, subnet: 10.101.0.0/24, mtu: {mtu}{endpoint}}}"
        plan = make_plan(site_with(networks=left), facts_of(name))
        pools = [reason.because for reason in plan.reasons if reason.topic.startswith("hugepages node")]
        return [int(text.split("packet buffers ")[1].split()[0]) for text in pools]

    endpoint = ", endpoint: 10.101.0.2"
    pmds = len(make_plan(site_with(), facts_of("vm-8-cpus")).pools.pmd)
    (without,), (with_one,) = mib("vm-8-cpus"), mib("vm-8-cpus", endpoint)
    assert abs(with_one - without - 3 * pool_bytes(port_mbufs(1, pmds)) / 1024**2) <= 1
    assert mib("ampere-altra-q80-30") == mib("ampere-altra-q80-30", endpoint), "shared pools are there already"
    assert mib("vm-8-cpus", "", 9000) == mib("vm-8-cpus", endpoint, 9000), "a system port has no mbufs of its own"


def test_pages_of_1_gib_only_where_enough_are_set_aside() -> None:
    facts = facts_of("ryzen-9-7950x")
    servers = server("a", 2, "2 GiB") + server("b", 2, "1 GiB")
    giants = make_plan(site_with(servers=servers), with_pages(facts, (2048, 0), (GIB_KIB, 4)))
    assert [(need.size_kib, need.count) for need in giants.hugepages] == [(GIB_KIB, 4)]
    assert giants.kernel_args[:3] == ("default_hugepagesz=1G", "hugepagesz=1G", "hugepages=4")
    assert giants.nova["DEFAULT"]["reserved_huge_pages"] == ("node:0,size:1048576,count:1",)
    assert because(giants, "hugepage size").startswith("enough are reserved")
    fewer = make_plan(site_with(servers=servers), with_pages(facts, (2048, 0), (GIB_KIB, 3)))
    assert {need.size_kib for need in fewer.hugepages} == {2048}
    assert because(fewer, "hugepage size") == "on NUMA node 0 3 of 1 GiB are reserved, 4 are needed"
    odd = server("a", 2, "2 GiB") + server("b", 2, "1536 MiB")
    plan = make_plan(site_with(servers=odd), with_pages(facts, (2048, 0), (GIB_KIB, 40)))
    assert {need.size_kib for need in plan.hugepages} == {2048}
    assert because(plan, "hugepage size") == "a server's memory is no multiple of 1 GiB"


def test_pages_of_one_node_are_not_spread_over_all() -> None:
    """A bare count on the command line is divided evenly among the nodes, also when one of them needs far less."""
    plan = make_plan(site_with(NIC), facts_of(TWO_NODES))
    first, second = plan.hugepages
    assert (first.node, first.count, second.node) == (0, 48, 1)  # node 0: the data that all ports share
    assert plan.ovs_other_config["dpdk-socket-mem"].startswith("64,")
    assert f"hugepages=0:48,1:{second.count}" in plan.kernel_args


def test_memory_that_does_not_fit_is_told_with_numbers() -> None:
    facts = facts_of("vm-8-cpus")
    with pytest.raises(BadInput) as caught:
        make_plan(site_with(servers=server("big", 1, "14 GiB")), facts)
    text = str(caught.value)
    assert "too little memory" in text
    assert f"{facts.system.memory_available_kib // 1024} MiB are available" in text
    assert "control plane needs 2560 MiB" in text


def test_every_node_that_is_too_small_is_told() -> None:
    servers = server("near", 4, "8 GiB", "pinned: true, ") + server("shared", 4, "8 GiB", "pinned: false, ")
    with pytest.raises(BadInput) as caught:
        make_plan(site_with(NIC, servers), with_pages(facts_of(TWO_NODES), (2048, 0), free_kib=4 * GIB_KIB))
    assert [finding.claim[:11] for finding in caught.value.findings] == ["NUMA node 0", "NUMA node 1"]


def test_a_server_goes_to_the_node_that_has_memory_for_it() -> None:
    servers = server("a", 4, "20 GiB") + server("b", 4, "20 GiB")
    facts = with_pages(facts_of(TWO_NODES), (2048, 0), free_kib=30 * GIB_KIB)
    plan = make_plan(site_with(NIC, servers), facts)
    assert [(guest.node, guest.pinned) for guest in plan.guests] == [(1, True), (0, True)]
    assert [need.node for need in plan.hugepages] == [0, 1]


def test_pages_that_are_already_set_aside_cost_nothing() -> None:
    """Planning a host that runs its plan already gives the same plan, however little memory is left."""
    facts = facts_of("vm-8-cpus")
    plan = make_plan(site_with(), facts)
    pages = HugepagePool(2048, plan.hugepages[0].count, 0)
    memory = (MemoryNode(0, facts.memory[0].total_kib, 100_000, (pages,), ()),)
    busy = replace(facts, memory=memory, system=replace(facts.system, memory_available_kib=100_000))
    assert make_plan(site_with(), busy) == plan
    one_more = replace(busy, memory=(replace(memory[0], hugepages=(replace(pages, total=pages.total - 1),)),))
    with pytest.raises(BadInput, match="too little memory"):
        make_plan(site_with(), one_more)


def test_a_kernel_without_hugepages() -> None:
    with pytest.raises(BadInput, match="no hugepages of 2 MiB"):
        make_plan(site_with(), with_pages(facts_of("vm-8-cpus")))


def test_a_node_without_memory() -> None:
    facts = facts_of(TWO_NODES)
    half = replace(facts, memory=facts.memory[:1])
    assert {guest.node for guest in make_plan(site_with(), half).guests} == {0}
    with pytest.raises(BadInput, match="NUMA node 1 has no memory"):
        make_plan(site_with(NIC), half)
    # Switched off, its CPUs name no node: that a NIC is there is all that tells of it.
    gone = tuple(cpu if cpu.node == 0 else replace(cpu, online=False, node=0) for cpu in half.cpus)
    with pytest.raises(BadInput, match="NUMA node 1 has no memory"):
        make_plan(site_with(NIC), replace(half, cpus=gone))


def test_unpinned_servers_are_where_the_shared_pool_has_memory() -> None:
    facts = facts_of(TWO_NODES)
    site = site_with('cpus: {shared: "4,6,5", pmd: "1,25"}', server("u", 1, more="pinned: false, "))
    assert (make_plan(site, facts).guests[0].node, make_plan(site, facts).guests[0].cpus) == (0, (4, 6))
    other = replace(facts, memory=facts.memory[1:])
    guest = make_plan(site, other).guests[0]
    assert (guest.node, guest.cpus) == (1, (5,))
    assert claims(make_plan(site, other))


def test_guests_cannot_have_every_core_with_memory() -> None:
    """Open vSwitch's main thread and PMD threads need one of them."""
    facts = facts_of("threadripper-3960x-memoryless")
    with pytest.raises(BadInput, match="no memory"):
        make_plan(site_with('cpus: {dedicated: "6-17,30-41"}'), facts)
