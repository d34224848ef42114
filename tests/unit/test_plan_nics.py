"""NICs: what each may be used for, what is reported about each, their queues, and what nova gets of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ouchi.core.errors import BadInput, Severity
from ouchi.facts import Facts, Nic, PcieLink
from ouchi.plan import NicPlan, Plan, make_plan
from ouchi.plan.nics import missing_packages
from tests.plans import because, claims, facts_of, server, site_with

TWO_NODES = "dual-socket-nic-on-node-1"


def with_nic(facts: Facts, name: str, **changes: Any) -> Facts:
    """The host with one NIC changed."""
    assert name in {nic.name for nic in facts.nics}
    return replace(facts, nics=tuple(replace(nic, **changes) if nic.name == name else nic for nic in facts.nics))


def pnic(plan: Plan, name: str) -> NicPlan:
    return next(nic for nic in plan.nics if nic.name == name)


def nic_of(facts: Facts, name: str) -> Nic:
    return next(nic for nic in facts.nics if nic.name == name)


def off(facts: Facts) -> Facts:
    return replace(facts, boot=replace(facts.boot, iommu=False, iommu_reason="off: for this test"))


def iommu_words(plan: Plan) -> list[str]:
    return [word for word in plan.kernel_args if "iommu" in word]


def test_vfs_are_novas_by_the_address_of_their_nic() -> None:
    facts = with_nic(facts_of("ryzen-5-3600"), "enp5s0f0", vfs_total=64)
    plan = make_plan(site_with("nics: [{nic: enp5s0f0, physnet: fast, role: sriov, vfs: 8}]"), facts)
    nic = pnic(plan, "enp5s0f0")
    assert (nic.role, len(nic.vfs), nic.rxqs) == ("sriov", 8, ())
    assert nic.reason == "set in the site file: 8 VFs for guests"
    assert plan.nova["pci"]["device_spec"] == ('{"address": "0000:05:00.0", "physical_network": "fast"}',)
    assert plan.ovs_other_config["dpdk-extra"] == "--no-pci"
    assert because(plan, "dpdk-extra").startswith("no NIC in the site file")
    # The NIC itself stays with its driver; its VFs may be in the group of both ports.
    assert claims(plan) == ["the NIC enp5s0f0 shares its IOMMU group, and its VFs may come into it"]
    assert iommu_words(plan) == ["iommu=pt"]


def test_more_vfs_than_the_nic_has() -> None:
    facts = with_nic(facts_of("ryzen-5-3600"), "enp5s0f0", vfs_total=4)
    with pytest.raises(BadInput, match="fewer VFs") as caught:
        make_plan(site_with("nics: [{nic: enp5s0f0, physnet: fast, role: sriov, vfs: 8}]"), facts)
    assert [finding.found for finding in caught.value.findings] == ["8 requested, 4 available"]
    site = site_with("nics: [{nic: enp5s0f0, physnet: fast, role: sriov, vfs: 8}]")
    with pytest.raises(BadInput, match="a NIC with SR-IOV"):
        make_plan(site, with_nic(facts, "enp5s0f0", vfs_total=0))


def test_a_realtek_that_the_installed_dpdk_does_not_know_is_refused_with_the_reason() -> None:
    facts = with_nic(facts_of("realtek-only"), "enp2s0", default_route=False, addresses=(), session=False)
    with pytest.raises(BadInput) as caught:
        make_plan(site_with("nics: [{nic: enp2s0, physnet: physnet1}]"), facts)
    finding = caught.value.findings[0]
    assert finding.claim == "DPDK cannot drive the NIC enp2s0"
    assert "no driver of DPDK 22.11 drives 10ec:8125" in finding.found
    assert "net_r8169 does" in finding.found


def test_a_realtek_has_the_queues_that_its_driver_has() -> None:
    facts = with_nic(facts_of("ryzen-9-9950x3d"), "enp9s0", default_route=False, addresses=(), session=False)
    plan = make_plan(site_with("nics: [{nic: enp9s0, physnet: physnet1}]"), facts)
    assert pnic(plan, "enp9s0").rxqs == plan.pools.pmd[:1]
    assert because(plan, "queues enp9s0") == "net_r8169 has no more than 1 Rx queue for this NIC"
    assert "under a lock" in pnic(plan, "enp9s0").dpdk.reason


def test_queues_follow_the_threads_and_what_the_nic_shows() -> None:
    facts = facts_of("ryzen-5-3600")
    site = site_with("nics: [{nic: enp5s0f0, physnet: physnet1}]")
    for shown, queues in ((0, 2), (1, 2), (12, 2)):  # one is what a driver shows that was not asked for more
        assert len(pnic(make_plan(site, with_nic(facts, "enp5s0f0", rx_queues=shown)), "enp5s0f0").rxqs) == queues
    many = site_with("cpus: {pmd_cores: 2}\nnics: [{nic: enp5s0f0, physnet: physnet1}]")
    plan = make_plan(many, with_nic(facts, "enp5s0f0", rx_queues=3))
    assert pnic(plan, "enp5s0f0").rxqs == plan.pools.pmd[:3]
    assert because(plan, "queues enp5s0f0") == "the NIC shows 3 Rx queues"


def test_a_driver_that_is_not_installed_is_named_with_its_package() -> None:
    facts = facts_of("xeon-d-1541")
    bare = replace(facts, dpdk=replace(facts.dpdk, installed=()))
    site = site_with("nics: [{nic: eno3, physnet: physnet1}]")
    plan = make_plan(site, bare)
    package = missing_packages(site, bare)
    assert package == ("librte-net-ixgbe23",)
    finding = next(one for one in plan.findings if package[0] in one.claim)
    assert finding.severity is Severity.INFO
    assert missing_packages(site, facts) == ()


def test_mellanox_needs_no_iommu_but_its_vfs_do() -> None:
    facts = off(facts_of("epyc-7713-nps1"))
    name = "enp65s0f0np0"
    plan = make_plan(site_with(f"nics: [{{nic: {name}, physnet: physnet1}}]"), facts)
    assert pnic(plan, name).dpdk.bifurcated
    assert iommu_words(plan) == []
    assert not any("IOMMU" in claim for claim in claims(plan))
    site = site_with(f"nics: [{{nic: {name}, physnet: physnet1, role: sriov, vfs: 4}}]")
    plan = make_plan(site, with_nic(facts, name, vfs_total=8))
    assert iommu_words(plan) == ["iommu=pt"]
    assert "the IOMMU is off, and vfio-pci needs it" in claims(plan)


@pytest.mark.parametrize(
    ("name", "nic", "words"),
    [
        ("xeon-d-1541", "eno3", ["intel_iommu=on", "iommu=pt"]),
        ("ryzen-9-7950x", "enp1s0f0", ["iommu=pt"]),  # amd_iommu=on is no kernel parameter
        ("ampere-altra-q80-30", "enP1p1s0f0", ["iommu.passthrough=1"]),
    ],
)
def test_the_words_for_the_iommu_are_the_makers(name: str, nic: str, words: list[str]) -> None:
    assert iommu_words(make_plan(site_with(f"nics: [{{nic: {nic}, physnet: physnet1}}]"), facts_of(name))) == words
    assert iommu_words(make_plan(site_with(), facts_of(name))) == []


def test_an_iommu_that_is_off_is_said_with_its_reason() -> None:
    plan = make_plan(site_with("nics: [{nic: enp5s0f0, physnet: physnet1}]"), off(facts_of("ryzen-5-3600")))
    finding = next(one for one in plan.findings if one.claim.startswith("the IOMMU is off"))
    assert (finding.found, finding.remedy) == ("off: for this test", "ouchi apply")


def test_idle_nics_of_the_iommu_group_are_named() -> None:
    plan = make_plan(site_with("nics: [{nic: enp5s0f0, physnet: physnet1}]"), facts_of("ryzen-5-3600"))
    finding = next(one for one in plan.findings if "IOMMU group" in one.claim)
    assert (finding.severity, finding.found) == (Severity.INFO, "group 15, with 0000:05:00.1")


def test_a_slot_is_reported_where_the_ports_of_the_nic_are_faster() -> None:
    site = site_with("nics: [{nic: enp5s0f0, physnet: physnet1}]")
    for link, slow in (
        ((2.5, 4, 8, 8), True),
        ((8, 4, 8, 8), False),
        ((8, 8, 8, 8), False),
        ((16, 4, 8, 8), False),
        ((0, 0, 8, 8), False),
    ):
        plan = make_plan(site, with_nic(facts_of("ryzen-5-3600"), "enp5s0f0", pcie=PcieLink(*link)))
        assert any("slower than the NIC" in claim for claim in claims(plan)) == slow


def test_a_nic_without_a_pci_address() -> None:
    with pytest.raises(BadInput, match="no PCI address"):
        make_plan(site_with("nics: [{nic: ifb0, physnet: a}]"), facts_of("vm-2-cpus"))


def test_a_nic_of_unknown_node_is_said_on_two_sockets() -> None:
    facts = with_nic(facts_of(TWO_NODES), "ens4f0", node=0, node_known=False)
    plan = make_plan(site_with("nics: [{nic: ens4f0, physnet: a}]"), facts)
    assert any("node 0 is assumed" in claim for claim in claims(plan))
    assert plan.ovs_other_config["dpdk-socket-mem"].endswith(",0")


NICS = "nics: [{nic: ens4f0, physnet: physnet1}, {nic: ens4f1, physnet: physnet2}]"
NETWORKS = """\
  - {name: left, vlan: 101, subnet: 10.101.0.0/24}
  - {name: right, vlan: 102, physnet: physnet2, subnet: 10.102.0.0/24}
"""


def test_nics_on_two_nodes_have_polling_and_guests_on_both() -> None:
    facts = with_nic(facts_of(TWO_NODES), "ens4f1", node=0)
    plan = make_plan(site_with(NICS, server("a", 2) + server("b", 2, network="right"), NETWORKS), facts)
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    assert {node_of[cpu] for cpu in plan.pools.pmd} == {0, 1}
    for name, node in (("ens4f0", 1), ("ens4f1", 0)):
        assert {node_of[cpu] for cpu in pnic(plan, name).rxqs} == {node}
    assert [(guest.name, guest.node) for guest in plan.guests] == [("a", 1), ("b", 0)]
    assert plan.nova["neutron"] == {"physnets": "physnet1,physnet2"}
    assert plan.nova["neutron_physnet_physnet1"] == {"numa_nodes": "1"}
    assert plan.nova["neutron_physnet_physnet2"] == {"numa_nodes": "0"}


def test_nova_is_told_of_no_affinity_that_would_refuse_a_guest() -> None:
    """A server between NICs of two nodes sits on one of them; nova refuses it if both networks have a node."""
    facts = with_nic(facts_of(TWO_NODES), "ens4f1", node=0)
    both = "  - {name: f, vcpus: 2, memory: 1 GiB, ports: [{network: left}, {network: right}]}\n"
    plan = make_plan(site_with(NICS, both, NETWORKS), facts)
    assert len([section for section in plan.nova if section.startswith("neutron_physnet")]) == 1
    unpinned = make_plan(site_with(NICS, server("u", 2, more="pinned: false, "), NETWORKS), facts_of(TWO_NODES))
    assert unpinned.guests[0].node == 0  # where the shared pool is; its NIC is on node 1
    assert "neutron_physnet_physnet1" not in unpinned.nova
    assert unpinned.nova["neutron"] == {"physnets": "physnet2"}


def test_a_nic_far_from_every_pmd_thread_is_told() -> None:
    plan = make_plan(site_with('cpus: {pmd: "4,28"}\nnics: [{nic: ens4f0, physnet: physnet1}]'), facts_of(TWO_NODES))
    finding = next(one for one in plan.findings if "no PMD thread is on the NUMA node" in one.claim)
    assert finding.found.startswith("the NIC is on node 1, PMD are CPUs 4,28")
    assert because(plan, "queues ens4f0") == "an Rx queue for each PMD thread; none is on its NUMA node"


def test_cpus_isolated_at_boot_are_told_where_the_host_needs_them() -> None:
    facts = facts_of("ryzen-5-3600")
    cpus = tuple(replace(cpu, isolated=cpu.id in (6, 7)) for cpu in facts.cpus)
    plan = make_plan(site_with(), replace(facts, cpus=cpus))
    finding = next(one for one in plan.findings if "are isolated since boot" in one.claim)
    assert finding.claim.startswith("CPUs 6 ")
    assert finding.found == "6-7"
