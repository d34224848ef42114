"""What tests of the planner share: recorded hosts, small sites, and the rules that every plan keeps."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from typing import Any

from ruamel.yaml import YAML

from ouchi.core.cpulist import parse_cpus
from ouchi.core.errors import Severity
from ouchi.facts import Core, Facts, collect, physical_cores
from ouchi.plan import GuestPlan, Plan, Pools, make_plan
from ouchi.plan.memory import CONTROL_MIB
from ouchi.plan.target import Target
from ouchi.site import Site, load_site
from tests.hosts import CASES, reader

OVERLAPPED = "overlapped: figures are not meaningful as performance"
ONE = "  - {name: one, vcpus: 1, memory: 256 MiB, ports: [{network: left}]}\n"
LEFT = "  - {name: left, vlan: 101, subnet: 10.101.0.0/24}\n"


@cache
def expected(name: str) -> dict[str, Any]:
    """What was derived by hand for a case; the same object for all, to be read only."""
    return dict(YAML(typ="safe", pure=True).load((CASES / name / "expected.yaml").read_text()))


@cache
def facts_of(name: str) -> Facts:
    """The facts of a case."""
    return collect(reader(name), expected(name).get("session", ""))


@cache
def target_of(name: str) -> Target:
    """The site of a case, its facts and the plan for both."""
    site = load_site((CASES / name / "site.yaml").read_bytes(), "site.yaml")
    return Target(site, facts_of(name), make_plan(site, facts_of(name)), "site.yaml")


@cache
def site_with(text: str = "", servers: str = ONE, networks: str = LEFT) -> Site:
    """A site with these lines in it, one network ``left`` and one server unless told otherwise."""
    return load_site(
        f"name: test\n{text}\nnetworks:\n{networks}\nservers:\n{servers or '  []'}\n".encode(), "site.yaml"
    )


def server(name: str, vcpus: int, memory: str = "512 MiB", more: str = "", network: str = "left") -> str:
    """A line of ``servers``."""
    return f"  - {{name: {name}, vcpus: {vcpus}, memory: {memory}, {more}ports: [{{network: {network}}}]}}\n"


def claims(plan: Plan) -> list[str]:
    """What a plan finds."""
    return [finding.claim for finding in plan.findings]


def because(plan: Plan, topic: str) -> str:
    """The last word on a topic."""
    return [reason.because for reason in plan.reasons if reason.topic == topic][-1]


def check_rules(plan: Plan, facts: Facts, site: Site) -> None:
    """The rules of planning; ``site`` names no pools, as those may break some."""
    forbidden = set(site.cpus.forbidden or ())
    cores = [core for core in _without(physical_cores(facts.cpus), forbidden) if core]
    memoryless = _memoryless(facts, {cpu for core in cores for cpu in core})
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    useful = [core for core in cores if node_of[core[0]] not in memoryless]
    assert plan.overlapped == (len(cores) < 3 or len(useful) < 2) == (OVERLAPPED in claims(plan))
    for alternative in plan.alternatives:
        _check_pools(alternative.pools, cores, overlapped=plan.overlapped, some_for_guests=len(useful) > 2)
        _check_nodes(alternative.pools, memoryless, node_of)
        assert alternative.gains
        assert all((*alternative.gains, *alternative.costs))
        assert alternative.numbers["idle_cpus"] == 0
    _check_alternatives(plan)
    _check_isolated(plan)
    _check_guests(plan, facts, cores)
    _check_memory(plan, facts)
    _check_capacity(plan, facts)
    _check_locality(plan, facts, site)
    assert _main_node(plan, facts) in {need.node for need in plan.hugepages}
    plain = plan.to_json()
    assert int(plan.ovs_other_config["pmd-cpu-mask"], 16) == sum(1 << cpu for cpu in plan.pools.pmd)
    assert {nic.address for nic in plan.nics} == {nic.address for nic in facts.nics if nic.address}
    assert all(nic.reason and nic.dpdk.reason for nic in plan.nics)
    assert all(reason.topic and reason.choice and reason.because for reason in plan.reasons)
    assert all(finding.severity is not Severity.ERROR and finding.claim for finding in plan.findings)
    assert json.loads(json.dumps(plain)) == plain


def _without(cores: tuple[Core, ...], forbidden: set[int]) -> list[tuple[int, ...]]:
    return [tuple(cpu for cpu in core.cpus if cpu not in forbidden) for core in cores]


def _memoryless(facts: Facts, online: set[int]) -> set[int]:
    nodes = {cpu.node for cpu in facts.cpus if cpu.id in online}
    with_memory = {node.node for node in facts.memory}
    return nodes - with_memory if nodes & with_memory else set()


def _check_nodes(pools: Pools, memoryless: set[int], node_of: dict[int, int]) -> None:
    """Nobody polls and no guest is pinned on a node without memory, and the host has a CPU on one with some."""
    assert not {node_of[cpu] for cpu in (*pools.pmd, *pools.dedicated)} & memoryless
    assert {node_of[cpu] for cpu in pools.host} - memoryless


def _check_pools(pools: Pools, cores: list[tuple[int, ...]], *, overlapped: bool, some_for_guests: bool) -> None:
    exclusive = {"host": set(pools.host), "pmd": set(pools.pmd), "dedicated": set(pools.dedicated)}
    assert set().union(*exclusive.values(), pools.shared) == {cpu for core in cores for cpu in core}
    assert cores[0][0] in pools.host
    assert pools.pmd
    assert pools.shared == pools.host
    for cpus in (pools.host, pools.pmd, pools.dedicated, pools.shared):
        assert list(cpus) == sorted(set(cpus))
    if overlapped:
        assert exclusive.pop("pmd") <= exclusive["host"]
    elif some_for_guests:
        assert pools.dedicated
    for one, other in combinations(exclusive.values(), 2):
        assert not one & other
        assert not any(one & set(core) and other & set(core) for core in cores)


def _check_alternatives(plan: Plan) -> None:
    first = plan.alternatives[0]
    assert [one.name for one in plan.alternatives if one.chosen] == [first.name] == [plan.name]
    assert first.pools == plan.pools
    assert len({one.name for one in plan.alternatives}) == len(plan.alternatives) <= 3
    different = {(one.pools, one.name == "power") for one in plan.alternatives}
    assert len(different) == len(plan.alternatives)


def _check_isolated(plan: Plan) -> None:
    exclusive = set() if plan.overlapped else {*plan.pools.pmd, *plan.pools.dedicated}
    assert set(plan.isolated) == exclusive
    assert not set(plan.isolated) & {*plan.pools.shared, *plan.pools.host}
    words = dict(word.split("=", 1) for word in plan.kernel_args)
    if plan.isolated:
        assert parse_cpus(words["isolcpus"].removeprefix("domain,managed_irq,")) == plan.isolated
        assert parse_cpus(words["nohz_full"]) == parse_cpus(words["rcu_nocbs"]) == plan.isolated
        assert parse_cpus(words["irqaffinity"]) == plan.pools.host
    else:
        assert not words.keys() & {"isolcpus", "nohz_full", "rcu_nocbs", "irqaffinity"}


def _check_guests(plan: Plan, facts: Facts, cores: list[tuple[int, ...]]) -> None:
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    taken: set[int] = set()
    for guest in plan.guests:
        assert guest.reason
        assert {node_of[cpu] for cpu in guest.cpus} == {guest.node}
        if not guest.pinned:
            assert set(guest.cpus) <= set(plan.pools.shared)
            assert guest.vcpus <= len(guest.cpus)  # else nova refuses it
            continue
        assert len(guest.cpus) == guest.vcpus == len(set(guest.cpus))
        assert set(guest.cpus) <= set(plan.pools.dedicated)
        assert not taken & set(guest.cpus)
        taken |= set(guest.cpus)
    _check_whole_cores_first([guest for guest in plan.guests if guest.pinned], plan, cores, node_of)


def _check_whole_cores_first(
    guests: list[GuestPlan], plan: Plan, cores: list[tuple[int, ...]], node_of: dict[int, int]
) -> None:
    """A guest shares no core with another as long as its node has free cores enough."""
    free = {core for core in cores if set(core) <= set(plan.pools.dedicated)}
    for guest in guests:
        whole = [core for core in free if node_of[core[0]] == guest.node and len(core) == max(map(len, cores))]
        if sum(map(len, whole)) >= guest.vcpus:
            assert any(set(guest.cpus) & set(core) for core in free)
            assert set(guest.cpus) <= {cpu for core in free for cpu in core}
        free = {core for core in free if not set(core) & set(guest.cpus)}


def _check_memory(plan: Plan, facts: Facts) -> None:
    memory = {node.node: node for node in facts.memory}
    main = _main_node(plan, facts)
    socket_mib = dict(enumerate(map(int, plan.ovs_other_config["dpdk-socket-mem"].split(","))))
    pages = {need.node: need for need in plan.hugepages}
    assert sum(socket_mib.values()) == sum(socket_mib.get(node, 0) for node in pages)
    for node, need in pages.items():
        guests = sum(guest.memory_mib for guest in plan.guests if guest.node == node)
        assert need.count * need.size_kib >= 1024 * (socket_mib.get(node, 0) + guests)
        pool = memory[node].pool(need.size_kib)
        assert pool is not None
        missing = max(0, need.count - pool.total) * need.size_kib
        left = memory[node].free_kib - missing
        assert left >= 0
        assert not missing or node != main or left >= CONTROL_MIB * 1024  # the control plane runs there
    reserved = plan.nova["DEFAULT"]["reserved_huge_pages"]
    assert len(reserved) == sum(mib > 0 for mib in socket_mib.values())
    counts = next((word for word in plan.kernel_args if word.startswith("hugepages=")), "hugepages=").split("=")[1]
    if len(memory) > 1:
        assert counts == ",".join(f"{need.node}:{need.count}" for need in plan.hugepages)
    else:
        assert counts == str(plan.hugepages[0].count)


def _main_node(plan: Plan, facts: Facts) -> int:
    """The NUMA node of ovs-vswitchd's main thread."""
    with_memory = {node.node for node in facts.memory}
    return next(cpu.node for cpu in facts.cpus if cpu.id in plan.pools.host and cpu.node in with_memory)


def _check_capacity(plan: Plan, facts: Facts) -> None:
    """Each CPU for pinned guests is on a node with memory for one, or a finding names the node."""
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    ovs_mib = dict(enumerate(map(int, plan.ovs_other_config["dpdk-socket-mem"].split(","))))
    for memory in facts.memory:
        if not any(node_of[cpu] == memory.node for cpu in plan.pools.dedicated):
            continue
        control = CONTROL_MIB * 1024 * (memory.node == _main_node(plan, facts))
        pages = sum(pool.total * pool.size_kib for pool in memory.hugepages)
        mib = (pages + max(0, memory.free_kib - control)) // 1024 - ovs_mib.get(memory.node, 0)
        reported = any(f"NUMA node {memory.node} has no memory for guests" in claim for claim in claims(plan))
        assert reported or mib >= 64
        assert not reported or mib < 64 + 1024  # spare pages and the rounding to pages


def _check_locality(plan: Plan, facts: Facts, site: Site) -> None:
    """Servers, NICs and a PMD thread of a network are on one node, or a finding says so."""
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    polled = {node_of[cpu] for cpu in plan.pools.pmd}
    for network in site.networks:
        nodes = {
            guest.node
            for guest, server in zip(plan.guests, site.servers, strict=True)
            if network.name in {port.network for port in server.ports}
        }
        servers = bool(nodes)
        nodes |= {nic.node for nic in plan.nics if nic.role == "ovs-dpdk" and nic.physnet == network.physnet}
        crossing = servers and (len(nodes) > 1 or not nodes <= polled)
        assert (f"packets of the network {network.name} cross between NUMA nodes" in claims(plan)) == crossing
