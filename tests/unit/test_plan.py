"""Plans: hosts against the plans derived by hand, the published examples, and what a user's file may ask for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import BadInput
from ouchi.core.plain import to_plain
from ouchi.facts import Cpu
from ouchi.plan import Style, make_plan
from ouchi.plan.keys import sleep_key
from ouchi.plan.packing import in_novas_order, pack
from ouchi.plan.values import mask
from tests.hosts import CASES, names
from tests.plans import OVERLAPPED, check_rules, claims, expected, facts_of, site_with, target_of


def reported(error: pytest.ExceptionInfo[BadInput]) -> str:
    return "\n".join(map(str, error.value.findings))


@pytest.mark.parametrize("name", names())
def test_the_plan_of_each_case_is_the_one_derived_by_hand(name: str) -> None:
    plan, want = target_of(name).plan, expected(name)
    assert plan.name == want["name"]
    assert {pool: format_cpus(cpus) for pool, cpus in to_plain(plan.pools).items()} == want["pools"]
    assert format_cpus(plan.isolated) == want["isolated"]
    assert mask(plan.pools.pmd) == want["pmd_mask"]
    assert {guest.name: format_cpus(guest.cpus) for guest in plan.guests} == want["guests"]
    drivers = {nic.name: {"role": nic.role, "pmd": nic.dpdk.pmd if nic.dpdk.supported else ""} for nic in plan.nics}
    assert drivers == want["nics"]
    assert len(claims(plan)) == len(want["findings"])
    assert all(found.startswith(target) for found, target in zip(claims(plan), want["findings"], strict=True))


@pytest.mark.parametrize("name", names())
def test_the_whole_plan_of_each_case_is_as_recorded(name: str) -> None:
    target = target_of(name)
    plan = target.plan
    check_rules(plan, target.facts, target.site)
    found = json.loads(json.dumps(plan.to_json()))
    reasons = found.pop("reasons")  # words may change; that each choice has some may not
    assert found == json.loads((CASES / name / "plan.json").read_text())
    topics = {reason["topic"] for reason in reasons}
    assert {"pool host", "pool pmd", "pool dedicated", "pool shared", "packet buffers", "dpdk-extra"} <= topics


def test_the_talks_plans_on_its_host() -> None:
    facts = facts_of("ryzen-5-3600")
    chosen = make_plan(site_with(), facts).pools
    assert (chosen.host, chosen.pmd, chosen.dedicated) == ((0, 6), (1, 7), (2, 3, 4, 5, 8, 9, 10, 11))
    assert mask(chosen.pmd) == "0x82"
    for other in (make_plan(site_with('cpus: {pmd: "1,2,7,8"}'), facts), make_plan(site_with(), facts, Style.CACHE)):
        assert (other.pools.host, other.pools.shared) == ((0, 6), (0, 6))
        assert mask(other.pools.pmd) == "0x186"
        assert mask(other.pools.dedicated) == "0xe38"  # whole in one L3 group
        assert other.findings == ()


def test_masks_of_the_published_examples() -> None:
    assert mask((0, 8, 16, 24)) == "0x1010101"
    assert mask((1, 9, 17, 25)) == "0x2020202"
    assert mask((1, 15)) == "0x8002"


def test_nova_takes_cores_in_the_order_of_pythons_hashes() -> None:
    """As nova.virt.libvirt.driver has it: sorting sets that have nothing in common changes nothing."""
    cores = [(core, core + 6) for core in range(6)]
    siblings = sorted(set(core) for core in set(map(tuple, (set(core) for core in cores))))
    assert [set(core) for core in in_novas_order(cores)] == siblings
    assert sorted(in_novas_order(cores)) != in_novas_order(cores)
    assert sorted(tuple(sorted(core)) for core in in_novas_order(cores)) == cores


def test_nova_packs_whole_cores_first() -> None:
    cores = [(2, 8), (3, 9), (4, 10)]
    assert pack(cores, [2, 2]) == ((2, 8), (3, 9))
    assert pack(cores, [1, 2]) == ((2,), (3, 9))  # a core of which one thread is taken comes after whole ones
    assert pack(cores, [3, 3]) == ((2, 8, 3), (9, 4, 10))  # then whatever is left, in order
    assert pack([(1,), (2,)], [3, 1]) == ((), (1,))
    assert pack([(0, 4), (1,), (2,)], [3, 1]) == ((0, 1, 2), (4,))  # one thread of each core, when two do not do


def test_four_threads_on_two_cores() -> None:
    cpus = tuple(
        Cpu(cpu, cpu % 2, 0, 0, cpu % 2, 0, (cpu % 2, cpu % 2 + 2), "", 0, "", False, True) for cpu in range(4)
    )
    plan = make_plan(site_with(), replace(facts_of("vm-2-cpus"), cpus=cpus))
    assert (plan.pools.host, plan.pools.pmd, plan.pools.dedicated) == ((0, 2), (2,), (1, 3))
    assert plan.overlapped
    assert OVERLAPPED in claims(plan)


def test_one_core_with_two_threads_stays_whole() -> None:
    cpus = tuple(Cpu(cpu, 0, 0, 0, 0, 0, (0, 1), "", 0, "", False, True) for cpu in range(2))
    facts = replace(facts_of("vm-2-cpus"), cpus=cpus)
    plan = make_plan(site_with(), facts)
    assert (plan.pools.host, plan.pools.pmd, plan.pools.dedicated) == ((0, 1), (1,), ())
    assert not plan.guests[0].pinned
    assert "cpu_dedicated_set" not in plan.nova["compute"]
    split = make_plan(site_with('cpus: {dedicated: "1"}'), facts)
    assert (split.pools.host, split.pools.pmd, split.pools.dedicated) == ((0,), (0,), (1,))
    assert any("split between host and dedicated" in claim for claim in claims(split))


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
    keys = make_plan(site_with(), replace(facts_of("vm-2-cpus"), ovs_version=version)).ovs_other_config
    assert {name: us for name, us in keys.items() if "sleep" in name} == ({key: "500"} if key else {})
    eight = make_plan(site_with(), replace(facts_of("vm-8-cpus"), ovs_version=version))
    assert not any("sleep" in name for name in eight.ovs_other_config)


def test_requests_are_obeyed_and_the_rest_chosen_around_them() -> None:
    facts = facts_of("ryzen-5-3600")
    plan = make_plan(site_with('cpus: {dedicated: "3-5,9-11"}'), facts)
    assert (plan.pools.host, plan.pools.pmd, plan.pools.dedicated) == (
        (0, 2, 6, 8),
        (1, 7),
        (3, 4, 5, 9, 10, 11),
    )
    plan = make_plan(site_with('cpus: {shared: "2,8"}'), facts)
    # Core 1 would have no guest left in its L3 cache.
    assert (plan.pools.host, plan.pools.shared, plan.pools.pmd) == ((0, 6), (2, 8), (3, 9))
    assert plan.nova["compute"] == {"cpu_shared_set": "2,8", "cpu_dedicated_set": "1,4-5,7,10-11"}
    plan = make_plan(site_with('cpus: {pmd: "1"}'), facts)
    assert plan.pools.pmd == (1,)
    assert 7 not in {*plan.pools.host, *plan.pools.dedicated}
    assert "CPUs 7 are in no pool and stay idle" in claims(plan)
    plan = make_plan(site_with('cpus: {pmd: "1", dedicated: "2-5,7-11"}'), facts)
    assert any("split between dedicated and pmd" in claim for claim in claims(plan))


def test_requests_that_cannot_be_had_are_told_all_at_once() -> None:
    requests = (
        'cpus: {host: "2", pmd: "40", dedicated: "0,3"}\nnics: [{nic: enp6s0, physnet: a}, {nic: eth9, physnet: b}]'
    )
    with pytest.raises(BadInput) as caught:
        make_plan(site_with(requests), facts_of("ryzen-5-3600"))
    text = reported(caught)
    for part in (
        "pool pmd has CPUs that are not online",
        "enp6s0 is in use",
        "DPDK cannot drive the NIC enp6s0",
        "no NIC eth9",
        "host: 2",
        "dedicated: 0,3",
        "site.yaml:2:",
    ):
        assert part in text
    assert len(caught.value.findings) == 6


def test_an_offline_cpu_is_no_request() -> None:
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
        "b": (False, "set in the site file: runs on the shared pool"),
        "c": (True, "set in the site file"),
        "d": (True, "a dedicated CPU for each vCPU"),
    }
    assert [guest.name for guest in plan.guests] == ["a", "b", "c", "d"]


def test_servers_that_cannot_be_placed() -> None:
    servers = SERVERS.replace("name: c, vcpus: 4", "name: c, vcpus: 7").replace(
        "name: b, vcpus: 1", "name: b, vcpus: 2"
    )
    with pytest.raises(BadInput) as caught:
        make_plan(site_with(servers=servers), facts_of("vm-8-cpus"))
    text = reported(caught)
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
