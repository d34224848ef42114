"""Plans: recorded hosts against their expected plans, the rules over random machines, the published arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.errors import BadInput
from ouchi.facts import Cpu, Facts, HugepagePool, MemoryNode, collect, physical_cores
from ouchi.machine.snapshot import SnapshotReader
from ouchi.plan import Plan, make_plan
from ouchi.plan.keys import sleep_key
from ouchi.plan.mempools import mbuf_bytes, pool_bytes, port_mbufs, shared_mbufs
from ouchi.plan.packing import pack
from ouchi.plan.values import mask
from ouchi.site import Site, load_site

HOSTS = Path(__file__).parents[1] / "cases" / "hosts"
NAMES = sorted(path.name for path in HOSTS.iterdir())
OVERLAPPED = "overlapped: figures are not meaningful as performance"


def facts_of(name: str) -> Facts:
    return collect(SnapshotReader(HOSTS / name / "root"))


def site_with(text: str = "", servers: str = "") -> Site:
    servers = servers or "  - {name: one, vcpus: 1, memory: 256 MiB, ports: [{network: left}]}\n"
    whole = f"name: test\n{text}\nnetworks:\n  - {{name: left, vlan: 101, subnet: 10.101.0.0/24}}\nservers:\n{servers}"
    return load_site(whole.encode(), "site.yaml")


def claims(error: pytest.ExceptionInfo[BadInput]) -> str:
    return "\n".join(map(str, error.value.findings))


@pytest.mark.parametrize("name", NAMES)
def test_expected_plan(name: str) -> None:
    folder = HOSTS / name
    plan = make_plan(load_site((folder / "site.yaml").read_bytes(), "site.yaml"), facts_of(name), "3.1.0")
    found = json.loads(json.dumps(plan.to_json()))
    reasons = found.pop("reasons")  # words may change; that each choice has some may not
    assert found == json.loads((folder / "plan.json").read_text())
    topics = {reason["topic"] for reason in reasons}
    assert {"pool host", "pool pmd", "pool dedicated", "pool shared", "packet buffers", "dpdk-extra"} <= topics
    assert all(reason["choice"] and reason["because"] for reason in reasons)
    assert (folder / "README.md").read_text().strip()


def test_the_talks_plans_on_its_host() -> None:
    facts = facts_of("ryzen-5-3600")
    chosen = make_plan(site_with(), facts).pools
    assert (chosen.host, chosen.pmd, chosen.dedicated) == ((0, 6), (1, 7), (2, 3, 4, 5, 8, 9, 10, 11))
    other = make_plan(site_with('cpus: {pmd: "1,2,7,8"}'), facts)
    assert (other.pools.host, other.pools.shared) == ((0, 6), (0, 6))
    assert other.to_json()["masks"]["pmd"] == "0x186"
    assert mask(other.pools.dedicated) == "0xe38"  # whole in one L3 group
    assert other.findings == ()


def test_masks_of_the_published_examples() -> None:
    assert mask((0, 8, 16, 24)) == "0x1010101"
    assert mask((1, 9, 17, 25)) == "0x2020202"
    assert mask((1, 15)) == "0x8002"


def test_buffer_sizes_of_memory_rst() -> None:
    assert {mtu: mbuf_bytes(mtu) for mtu in (1500, 1800, 6000, 9000)} == {
        1500: 3008,
        1800: 3008,
        6000: 7104,
        9000: 10176,
    }
    assert mbuf_bytes(2048) - 128 - 832 == 3072  # the frame is rounded, not the MTU
    assert (shared_mbufs(1500), shared_mbufs(1499)) == (262144, 16384)
    assert shared_mbufs(1500) * mbuf_bytes(1500) // 1024**2 == 752


def test_per_port_buffers_of_memory_rst() -> None:
    assert port_mbufs(1, 1) == 22560
    assert port_mbufs(1, 2) == 24608
    # The document's third example takes one burst where its own formula takes one for each receive queue.
    assert port_mbufs(2, 2) == 26656 + 32
    assert [n * mbuf_bytes(mtu) // 10**6 for n, mtu in ((22560, 1500), (24608, 6000), (26688, 9000))] == [67, 174, 271]
    assert pool_bytes(22560) > 22560 * 3008


def test_nova_packs_whole_cores_first() -> None:
    cores = [(2, 8), (3, 9), (4, 10)]
    assert pack(cores, [2, 2]) == (2, 8, 3, 9)
    assert pack(cores, [1, 2]) == (2, 3, 9)  # a core of which one thread is taken comes after whole ones
    assert pack(cores, [3, 3]) == (2, 8, 3, 9, 4, 10)  # then whatever is left, in order
    assert pack([(1,), (2,)], [3]) == ()


def test_four_threads_on_two_cores() -> None:
    cpus = tuple(Cpu(cpu, cpu % 2, 0, 0, 0, (cpu % 2, cpu % 2 + 2), 0, True) for cpu in range(4))
    plan = make_plan(site_with(), replace(facts_of("vm-2-cpus"), cpus=cpus))
    assert (plan.pools.host, plan.pools.pmd, plan.pools.dedicated) == ((0, 2), (2,), (1, 3))
    assert plan.overlapped
    assert OVERLAPPED in [finding.claim for finding in plan.findings]


def test_one_core_with_two_threads_stays_whole() -> None:
    cpus = tuple(Cpu(cpu, 0, 0, 0, 0, (0, 1), 0, True) for cpu in range(2))
    facts = replace(facts_of("vm-2-cpus"), cpus=cpus)
    plan = make_plan(site_with(), facts)
    assert (plan.pools.host, plan.pools.pmd, plan.pools.dedicated) == ((0, 1), (1,), ())
    assert not plan.guests[0].pinned
    assert "cpu_dedicated_set" not in plan.nova["compute"]
    split = make_plan(site_with('cpus: {dedicated: "1"}'), facts)
    assert (split.pools.host, split.pools.pmd, split.pools.dedicated) == ((0,), (0,), (1,))
    assert any("split between host and dedicated" in finding.claim for finding in split.findings)


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("3.1.0", "pmd-maxsleep"),
        ("3.2.0", "pmd-sleep-max"),
        ("3.3.4", "pmd-sleep-max"),
        ("4.0.0", "pmd-sleep-max"),
        ("2.17.9", ""),
        ("", ""),
        ("none", ""),
    ],
)
def test_the_sleep_key_follows_the_version(version: str, key: str) -> None:
    assert sleep_key(version) == key
    keys = make_plan(site_with(), facts_of("vm-2-cpus"), version).ovs_other_config
    assert {name for name in keys if "sleep" in name} == ({key} if key else set())
    assert not any("sleep" in name for name in make_plan(site_with(), facts_of("vm-8-cpus"), version).ovs_other_config)


def test_wishes_are_obeyed_and_the_rest_chosen_around_them() -> None:
    facts = facts_of("ryzen-5-3600")
    plan = make_plan(site_with('cpus: {dedicated: "3-5,9-11"}'), facts)
    assert (plan.pools.host, plan.pools.pmd, plan.pools.dedicated) == (
        (0, 2, 6, 8),
        (1, 7),
        (3, 4, 5, 9, 10, 11),
    )
    plan = make_plan(site_with('cpus: {shared: "2,8"}'), facts)
    assert (plan.pools.host, plan.pools.shared, plan.pools.pmd) == ((0, 6), (2, 8), (1, 7))
    assert plan.nova["compute"] == {"cpu_shared_set": "2,8", "cpu_dedicated_set": "3-5,9-11"}
    plan = make_plan(site_with('cpus: {pmd: "1"}'), facts)
    assert plan.pools.pmd == (1,)
    assert 7 not in {*plan.pools.host, *plan.pools.dedicated}
    assert "CPUs 7 are in no pool and stay idle" in [finding.claim for finding in plan.findings]
    plan = make_plan(site_with('cpus: {pmd: "1", dedicated: "2-5,7-11"}'), facts)
    assert any("split between dedicated and pmd" in finding.claim for finding in plan.findings)


def test_wishes_that_cannot_be_had_are_told_all_at_once() -> None:
    wishes = (
        'cpus: {host: "2", pmd: "40", dedicated: "0,3"}\nnics: [{nic: enp6s0, physnet: a}, {nic: eth9, physnet: b}]'
    )
    with pytest.raises(BadInput) as caught:
        make_plan(site_with(wishes), facts_of("ryzen-5-3600"))
    text = claims(caught)
    for part in (
        "pool pmd has CPUs that are not online",
        "enp6s0 is in use",
        "no NIC eth9",
        "host: 2",
        "dedicated: 0,3",
        "site.yaml:2:",
    ):
        assert part in text
    assert len(caught.value.findings) == 5


def test_an_offline_cpu_is_no_wish() -> None:
    with pytest.raises(BadInput, match="not online"):
        make_plan(site_with('cpus: {dedicated: "2"}'), facts_of("cpu-offline"))


def test_pools_that_leave_no_polling_core() -> None:
    with pytest.raises(BadInput, match="leave no core"):
        make_plan(site_with('cpus: {host: "0", dedicated: "1-7"}'), facts_of("vm-8-cpus"))


def test_a_nic_that_dpdk_cannot_drive() -> None:
    with pytest.raises(BadInput, match="no PCI address"):
        make_plan(site_with("nics: [{nic: ifb0, physnet: a}]"), facts_of("vm-2-cpus"))


SERVERS = """\
  - {name: a, vcpus: 1, memory: 256 MiB, ports: [{network: left}]}
  - {name: b, vcpus: 1, memory: 256 MiB, pinned: false, ports: [{network: left}]}
  - {name: c, vcpus: 4, memory: 256 MiB, pinned: true, ports: [{network: left}]}
  - {name: d, vcpus: 2, memory: 256 MiB, forwards: true, ports: [{network: left}, {network: left}]}
"""


def test_dedicated_cpus_go_to_those_that_must_then_to_forwarders() -> None:
    plan = make_plan(site_with(servers=SERVERS), facts_of("vm-8-cpus"))
    assert {guest.name: (guest.pinned, guest.reason) for guest in plan.guests} == {
        "a": (False, "no dedicated CPU left: runs on the shared pool"),
        "b": (False, "your file says so: runs on the shared pool"),
        "c": (True, "your file says so"),
        "d": (True, "a dedicated CPU for each vCPU"),
    }
    assert [guest.name for guest in plan.guests] == ["a", "b", "c", "d"]


def test_servers_that_cannot_be_placed() -> None:
    servers = SERVERS.replace("name: c, vcpus: 4", "name: c, vcpus: 7").replace(
        "name: b, vcpus: 1", "name: b, vcpus: 2"
    )
    with pytest.raises(BadInput) as caught:
        make_plan(site_with(servers=servers), facts_of("vm-8-cpus"))
    text = claims(caught)
    assert "c cannot be pinned" in text
    assert "7 vCPUs; the dedicated pool is 2-7" in text
    assert "b has more vCPUs than the shared pool has CPUs" in text
    assert len(caught.value.findings) == 2


def test_many_unpinned_servers_raise_novas_ratio() -> None:
    few = "".join(
        f"  - {{name: s{i}, vcpus: 1, memory: 64 MiB, pinned: false, ports: [{{network: left}}]}}\n" for i in range(4)
    )
    more = few + few.replace("name: s", "name: t")
    assert "cpu_allocation_ratio" not in make_plan(site_with(servers=few), facts_of("vm-8-cpus")).nova["DEFAULT"]
    assert make_plan(site_with(servers=more), facts_of("vm-8-cpus")).nova["DEFAULT"]["cpu_allocation_ratio"] == "8.0"


def test_memory_that_does_not_fit_is_told_with_numbers() -> None:
    big = "  - {name: big, vcpus: 1, memory: 14 GiB, ports: [{network: left}]}\n"
    facts = facts_of("vm-8-cpus")
    with pytest.raises(BadInput) as caught:
        make_plan(site_with(servers=big), facts)
    text = claims(caught)
    assert "too little memory" in text
    assert f"{facts.system.memory_available_kib // 1024} MiB are available" in text
    assert "control plane needs 2560 MiB" in text


def test_pages_that_are_already_set_aside_cost_nothing() -> None:
    """Planning a host that runs its plan already gives the same plan, however little memory is left."""
    facts = facts_of("vm-8-cpus")
    plan = make_plan(site_with(), facts)
    pages = HugepagePool(2048, plan.hugepages[0].count, 0)
    memory = (MemoryNode(0, facts.memory[0].total_kib, 100_000, (pages,)),)
    busy = replace(facts, memory=memory, system=replace(facts.system, memory_available_kib=100_000))
    assert make_plan(site_with(), busy) == plan
    one_more = replace(busy, memory=(replace(memory[0], hugepages=(replace(pages, total=pages.total - 1),)),))
    with pytest.raises(BadInput, match="too little memory"):
        make_plan(site_with(), one_more)


def test_a_kernel_without_hugepages() -> None:
    facts = facts_of("vm-8-cpus")
    bare = replace(facts, memory=(replace(facts.memory[0], hugepages=()),))
    with pytest.raises(BadInput, match="no hugepages of 2 MiB"):
        make_plan(site_with(), bare)


def test_a_node_without_memory() -> None:
    facts = facts_of("dual-socket-nic-on-node-1")
    half = replace(facts, memory=facts.memory[:1])
    assert {guest.node for guest in make_plan(site_with(), half).guests} == {0}
    with pytest.raises(BadInput, match="NUMA node 1 has no memory"):
        make_plan(site_with("nics: [{nic: ens4f0, physnet: a}]"), half)


def test_a_nic_of_unknown_node_is_said_on_two_sockets() -> None:
    facts = facts_of("dual-socket-nic-on-node-1")
    nics = tuple(replace(nic, node=0, node_known=False) if nic.name == "ens4f0" else nic for nic in facts.nics)
    plan = make_plan(site_with("nics: [{nic: ens4f0, physnet: a}]"), replace(facts, nics=nics))
    assert any("node 0 is assumed" in finding.claim for finding in plan.findings)
    assert plan.ovs_other_config["dpdk-socket-mem"].endswith(",0")


@st.composite
def machines(draw: st.DrawFn) -> Facts:
    """Machines of 1 to 256 CPUs with any numbering of threads, L3 groups, nodes and offline CPUs."""
    nodes = draw(st.integers(1, 4))
    per_node = draw(st.integers(1, 16))
    threads = draw(st.sampled_from((1, 2, 4)))
    group = draw(st.integers(1, per_node))
    l3 = draw(st.booleans())
    adjacent = draw(st.booleans())
    count = nodes * per_node
    interleaved = draw(st.booleans())
    cpus = []
    for core in range(count):
        node = core % nodes if interleaved else core // per_node
        in_node = core // nodes if interleaved else core % per_node
        ids = [core * threads + t if adjacent else core + t * count for t in range(threads)]
        cpus += [(cpu, core, node, ids, (node, in_node // group)) for cpu in ids]
    offline = draw(st.sets(st.integers(1, max(1, count * threads - 1)), max_size=5)) - {0}
    groups: dict[tuple[int, int], int] = {}
    for cpu, *_, key in sorted(cpus):
        if cpu not in offline:
            groups.setdefault(key, cpu)
    base = facts_of("vm-8-cpus")
    pages = (HugepagePool(2048, 0, 0), HugepagePool(1048576, 0, 0))
    kib = draw(st.sampled_from((16, 64))) * 1024**2
    used_nodes = sorted({node for cpu, _, node, _, _ in cpus if cpu not in offline})
    return replace(
        base,
        cpus=tuple(
            Cpu(cpu, core, node, node, groups.get(key, -1) if l3 else -1, tuple(ids), 0, cpu not in offline)
            for cpu, core, node, ids, key in sorted(cpus)
        ),
        memory=tuple(MemoryNode(node, kib, kib, pages) for node in used_nodes),
        system=replace(base.system, memory_available_kib=kib * len(used_nodes)),
    )


@settings(max_examples=150)
@given(machines(), st.integers(0, 4), st.sampled_from(("", "3.1.0", "3.3.4")))
def test_rules_of_every_plan(facts: Facts, servers: int, version: str) -> None:
    lines = "".join(
        f"  - {{name: s{i}, vcpus: 1, memory: 512 MiB, ports: [{{network: left}}]}}\n" for i in range(servers)
    )
    plan = make_plan(site_with(servers=lines or "  []\n"), facts, version)
    check_rules(plan, facts)


def check_rules(plan: Plan, facts: Facts) -> None:
    pools = plan.pools
    cores = physical_cores(facts.cpus)
    online = {cpu.id for cpu in facts.cpus if cpu.online}
    exclusive = {"host": set(pools.host), "pmd": set(pools.pmd), "dedicated": set(pools.dedicated)}
    assert set().union(*exclusive.values(), pools.shared) == online
    assert 0 in pools.host
    assert pools.pmd
    assert pools.shared
    assert not set(pools.dedicated) & ({*pools.shared, *pools.host, *pools.pmd})  # nova refuses to start otherwise
    assert plan.overlapped == (len(cores) < 3)
    assert plan.overlapped == any(finding.claim == OVERLAPPED for finding in plan.findings)
    if plan.overlapped:
        assert set(pools.pmd) <= set(pools.host)
        exclusive.pop("pmd")
    else:
        assert pools.dedicated
        assert pools.pmd != pools.host
    for one, other in combinations(exclusive.values(), 2):
        assert not one & other
        assert not any(one & set(core.cpus) and other & set(core.cpus) for core in cores)
    for cpus in (pools.host, pools.pmd, pools.dedicated, pools.shared):
        assert list(cpus) == sorted(set(cpus))
    pages = {need.node: need.count for need in plan.hugepages}
    memory_mib = [int(mib) for mib in plan.ovs_other_config["dpdk-socket-mem"].split(",")]
    for node, count in pages.items():
        socket = memory_mib[node] if node < len(memory_mib) else 0
        assert 2 * count >= socket + sum(guest.memory_mib for guest in plan.guests if guest.node == node)
    assert sum(memory_mib) == sum(mib for node, mib in enumerate(memory_mib) if node in pages)
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    for node in pages:
        pinned = sum(guest.vcpus for guest in plan.guests if guest.pinned and guest.node == node)
        assert pinned <= sum(node_of[cpu] == node for cpu in pools.dedicated)
    extra = plan.ovs_other_config["dpdk-extra"]
    assert "--no-pci" in extra or "-a " in extra
    assert plan.isolated == ()
    assert json.loads(json.dumps(plan.to_json())) == plan.to_json()
