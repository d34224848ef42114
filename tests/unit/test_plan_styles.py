"""The alternatives: what each is for, gains and gives up, and what happens when a request makes no sense."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ouchi.core.errors import BadInput
from ouchi.facts import Facts, collect
from ouchi.plan import Alternative, Plan, Style, make_plan
from tests.hosts import CASES, build
from tests.hosts.description import load
from tests.plans import because, claims, facts_of, server, site_with

TWO = server("a", 4) + server("b", 4)


def named(plan: Plan) -> dict[str, Alternative]:
    return {one.name: one for one in plan.alternatives}


def gains(plan: Plan, name: str) -> str:
    return " | ".join(named(plan)[name].gains)


def costs(plan: Plan, name: str) -> str:
    return " | ".join(named(plan)[name].costs)


def test_a_stacked_cache_that_guests_would_lose_is_said_in_mib() -> None:
    plan = make_plan(site_with(servers=TWO), facts_of("ryzen-9-9950x3d"))
    cache = named(plan)["cache"]
    assert (cache.pools.dedicated[0], len(cache.pools.dedicated)) == (8, 16)
    assert "guests have an L3 cache of 32 MiB; the one of 96 MiB belongs to the host and the PMD threads" in cache.costs
    assert "MiB" not in costs(plan, "capacity")
    assert "MiB" not in costs(make_plan(site_with(servers=TWO), facts_of("ryzen-9-7950x")), "cache")


def test_the_two_plans_of_the_talk_in_words_and_numbers() -> None:
    plan = make_plan(site_with(servers=server("a", 2) + server("b", 2)), facts_of("ryzen-5-3600"))
    assert "8 CPUs for pinned guests, where another plan has 6" in gains(plan, "capacity")
    assert "2 of the 8 CPUs for guests share an L3 cache with Linux and OpenStack" in costs(plan, "capacity")
    assert "no guest shares an L3 cache with Linux and OpenStack" in gains(plan, "cache")
    assert "2 CPUs fewer for pinned guests (6 left)" in costs(plan, "cache")
    assert dict(named(plan)["cache"].numbers) == {
        "pmd_cores": 2,
        "dedicated_cpus": 6,
        "guest_cpus": 4,
        "guest_cpus_near_pmd": 0,
        "l3_shared_with_host": 0,
        "idle_cpus": 0,
    }


def test_numbers_are_of_the_cpus_that_guests_really_get() -> None:
    """The servers go to node 2 with its NIC; on node 0 none would be near a PMD thread."""
    nics = "nics: [{nic: ens1f0np0, physnet: physnet1}]"
    plan = make_plan(site_with(nics, server("a", 8) + server("b", 8)), facts_of("epyc-7713-nps4"))
    assert {guest.node for guest in plan.guests} == {2}
    assert named(plan)["capacity"].numbers["guest_cpus_near_pmd"] == 4


def test_few_watts_on_a_hybrid_processor() -> None:
    facts = facts_of("core-i5-13500")
    plan = make_plan(site_with("cpus: {prefer: power}"), facts)
    assert plan.name == "power"
    assert plan.pools.host == plan.pools.shared == (0, 1, 16, 17, 18, 19)
    assert plan.pools.pmd == (2, 3)  # polling stays on a performance core
    assert plan.ovs_other_config["pmd-sleep-max"] == "500"
    assert plan.nova["libvirt"]["cpu_power_management_strategy"] == "governor"
    assert "have the efficient cores 16-19" in gains(plan, "power")
    assert "up to 500 µs" in costs(plan, "power")
    assert "PMD threads never sleep" in gains(plan, "capacity")


def test_nothing_sleeps_that_ovs_cannot_put_to_sleep() -> None:
    plan = make_plan(site_with(), replace(facts_of("core-i5-13500"), ovs_version="2.17.9"), Style.POWER)
    assert plan.name == "power"  # its pools differ
    assert not any("sleep" in text for one in plan.alternatives for text in (*one.gains, *one.costs))
    assert not any("sleep" in key for key in plan.ovs_other_config)
    uniform = replace(facts_of("xeon-d-1541"), ovs_version="2.17.9")
    assert list(named(make_plan(site_with(), uniform))) == ["capacity"]


def test_few_watts_without_frequency_scaling_leaves_nova_alone() -> None:
    facts = facts_of("xeon-d-1541")
    still = replace(facts, cpus=tuple(replace(cpu, governor="") for cpu in facts.cpus))
    plan = make_plan(site_with(), still, Style.POWER)
    assert "libvirt" not in plan.nova
    assert "governor" not in gains(plan, "power")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("vm-8-cpus", "each core shows an L3 cache of its own"),
        ("vm-4-cpus", "each core shows an L3 cache of its own"),
        ("n100-mini-pc", "its cores share one L3 cache"),
        ("ampere-altra-q80-30", "the machine shows no L3 cache"),
        ("dual-socket-nic-on-node-1", "the L3 caches without Linux and PMD threads have too few CPUs for guests"),
        ("vm-2-cpus", "there are too few cores for a choice"),
    ],
)
def test_a_request_that_gains_nothing_is_told_and_planned_for_capacity(name: str, why: str) -> None:
    plan = make_plan(site_with("cpus: {prefer: cache}"), facts_of(name))
    assert plan.name == "capacity"
    assert "cache" not in named(plan)
    finding = next(one for one in plan.findings if one.claim == "a plan for cache would gain nothing on this machine")
    assert finding.where.startswith("site.yaml:2:")
    assert finding.found.startswith(why)
    assert finding.expected == "planned for capacity"


def test_no_plan_puts_polling_and_all_guests_on_different_nodes() -> None:
    """One L3 cache for two nodes: kept clear of Linux and polling, guests would be on the other socket."""
    nics = "nics: [{nic: ens2f0np0, physnet: physnet1}]"
    assert list(named(make_plan(site_with(nics), facts_of("xeon-gold-6542y-snc2")))) == ["capacity", "power"]


def test_a_request_that_cannot_hold_the_servers_gives_the_nearest_plan_that_can() -> None:
    servers = server("wide", 8, more="pinned: true, ")
    plan = make_plan(site_with("cpus: {prefer: cache}", servers), facts_of("ryzen-5-3600"))
    assert plan.name == "capacity"
    assert "cache" not in named(plan)
    finding = next(one for one in plan.findings if one.claim == "a plan for cache cannot hold your servers")
    assert finding.found == "the server wide cannot be pinned"
    small = make_plan(
        site_with("cpus: {prefer: cache}", server("a", 6, more="pinned: true, ")), facts_of("ryzen-5-3600")
    )
    assert small.name == "cache"


def test_servers_that_only_one_plan_holds() -> None:
    """16 cores poll on two; with one there is room for one guest more."""
    servers = server("wide", 26, more="pinned: true, ")
    plan = make_plan(site_with(servers=servers), facts_of("ryzen-9-7950x"))
    assert plan.name == "power"
    assert "a plan for capacity cannot hold your servers" in claims(plan)
    assert [one.name for one in plan.alternatives] == ["power"]
    with pytest.raises(BadInput, match="cannot be pinned"):
        make_plan(site_with(servers=server("wide", 28, more="pinned: true, ")), facts_of("ryzen-9-7950x"))


def test_polling_cores_of_the_file() -> None:
    facts = facts_of("ryzen-9-7950x")
    for style in Style:
        plan = make_plan(site_with("cpus: {pmd_cores: 3}"), facts, style)
        assert {one.numbers["pmd_cores"] for one in plan.alternatives} == {3}
        assert because(plan, "pool pmd").startswith("3 whole cores, set in the site file")
    many = make_plan(site_with("cpus: {pmd_cores: 64}"), facts)
    assert len(many.pools.pmd) == 26  # two cores are the host's, one the guests'
    assert "fewer cores poll than the site file says" in claims(many)
    assert "guests need one of the 14 cores that the host leaves" in because(many, "pool pmd")
    given = make_plan(site_with('cpus: {pmd_cores: 4, dedicated: "8-15,24-31"}'), facts)
    assert len(given.pools.pmd) == 8
    assert "fewer cores poll than the site file says" not in claims(given)


def test_a_single_plan_says_so() -> None:
    alone = make_plan(site_with(), facts_of("vm-8-cpus")).alternatives
    assert [(one.name, one.gains, one.costs) for one in alone] == [
        ("capacity", ("no other plan would differ on this machine",), ())
    ]


@pytest.mark.parametrize("style", Style)
def test_forbidden_cpus_are_in_no_plan(style: Style) -> None:
    facts: Facts = facts_of("ryzen-9-7950x")
    plan = make_plan(site_with('cpus: {forbidden: "1,17,8,24,31"}'), facts, style)
    for one in plan.alternatives:
        pools = one.pools
        assert not {1, 17, 8, 24, 31} & {*pools.host, *pools.pmd, *pools.dedicated, *pools.shared}
    assert 15 in plan.pools.dedicated  # half a core is used as it is


def test_cpus_that_cannot_be_forbidden() -> None:
    with pytest.raises(BadInput) as caught:
        make_plan(site_with('cpus: {forbidden: "0,99"}'), facts_of("ryzen-5-3600"))
    assert [finding.claim for finding in caught.value.findings] == [
        "CPU 0 cannot be forbidden",
        "there are no such CPUs to forbid",
    ]


@pytest.mark.parametrize(("fast", "pmd"), [(16, (2, 3, 4, 5)), (8, (2, 3)), (2, (2, 3))])
def test_a_large_hybrid_leaves_its_fast_cores_to_polling_and_guests(fast: int, pmd: tuple[int, ...]) -> None:
    """Linux and OpenStack do as well on an efficient core."""
    described = load(CASES / "core-i5-13500" / "host.yaml")
    few, many = described.cores
    cores = (replace(few, count=fast), replace(many, count=16))
    facts = collect(build(replace(described, cores=cores)))
    plan = make_plan(site_with("nics: [{nic: enp1s0f0, physnet: physnet1}]", servers=""), facts)
    assert plan.pools.host == (0, 1, 2 * fast)
    assert plan.pools.pmd == pmd
