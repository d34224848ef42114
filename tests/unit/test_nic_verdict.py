"""One judgement of a NIC: in every situation inspect, plan, apply and the doctor say the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ouchi.core.errors import BadInput, Severity
from ouchi.facts import Facts, collect
from ouchi.facts.verdict import OVS, verdict
from ouchi.flows.doctor import diagnose
from ouchi.host.nics import companions
from ouchi.host.refusals import refusals
from ouchi.plan import make_plan
from ouchi.plan.target import Target
from ouchi.report.facts import facts_text
from ouchi.site import Site, load_site
from tests.hosts import build
from tests.hosts.description import load
from tests.live import case
from tests.plans import facts_of, site_with
from tests.unit.test_apply import SURVEY

CASES = Path(__file__).parents[1] / "cases" / "nics"
RYZEN, X710, SECOND = "ryzen-5-3600", "0000:05:00.0", "0000:05:00.1"


def ryzen(nics: dict[str, dict[str, Any]] | None = None, **boot: Any) -> Facts:
    """The talk's host with other members of its NICs, by address, and of its boot."""
    facts = facts_of(RYZEN)
    changed = tuple(replace(nic, **(nics or {}).get(nic.address, {})) for nic in facts.nics)
    return replace(facts, nics=changed, boot=replace(facts.boot, **boot))


def described(name: str) -> Facts:
    return collect(build(load(CASES / name / "host.yaml")), "192.0.2.25")


def site_of(name: str, file: str = "site.yaml") -> Site:
    return load_site((CASES / name / file).read_bytes(), "site.yaml")


ONE = site_with(f'nics: [{{nic: "{X710}", physnet: physnet1}}]', servers="")
BOTH = site_with(
    f'nics: [{{nic: "{X710}", physnet: physnet1}}, {{nic: "{SECOND}", physnet: physnet2, role: sriov, vfs: 2}}]',
    servers="",
)


@dataclass(frozen=True)
class Situation:
    """``claim``: what each command says; empty where the NIC may have its role. ``doctor``: the checks that fail."""

    name: str
    facts: Facts
    site: Site
    claim: str = ""
    doctor: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


ALONE = {X710: {"group_with": (), "group_drivers": ()}}
VF = replace(
    next(nic for nic in facts_of(RYZEN).nics if nic.address == SECOND),
    address="0000:05:02.0",
    name="",
    pf=X710,
    group_with=(),
    group_drivers=(),
)


def with_vf(**members: Any) -> Facts:
    facts = ryzen(ALONE)
    return replace(facts, nics=(*facts.nics, replace(VF, **members)))


SITUATIONS = [
    Situation("free", ryzen(ALONE), ONE),
    Situation("an address", ryzen({X710: {**ALONE[X710], "addresses": ("192.0.2.9/24",)}}), ONE, "the NIC enp5s0f0 is in use"),
    Situation("the default route", ryzen({X710: {**ALONE[X710], "default_route": True}}), ONE, "the NIC enp5s0f0 is in use"),
    Situation("the session", ryzen({X710: {**ALONE[X710], "session": True}}), ONE, "the NIC enp5s0f0 is in use"),
    Situation("a bond or bridge", ryzen({X710: {**ALONE[X710], "master": "bond0"}}), ONE, "the NIC enp5s0f0 is in use"),
    Situation("a VLAN or macvlan", ryzen({X710: {**ALONE[X710], "above": ("enp5s0f0.7",)}}), ONE, "the NIC enp5s0f0 is in use"),
    Situation("RDMA without an address", ryzen({X710: {**ALONE[X710], "rdma": ("rping",)}}), ONE, "the NIC enp5s0f0 is in use"),
    Situation("a VF with the session", described("vf-carries-session"), site_of("vf-carries-session"),
        "the NIC enp5s0f0 has VFs that are in use, which go"),
    Situation("a VF with the session, and another number of VFs", described("vf-carries-session"),
        site_of("vf-carries-session", "site-sriov.yaml"), "VFs of the NIC enp5s0f0 are in use, and their number changes"),
    Situation("as many VFs as now, one with the session", described("vf-carries-session"),
        site_with("nics: [{nic: enp5s0f0, physnet: physnet1, role: sriov, vfs: 1}]", servers=""),
        "VFs of the NIC enp5s0f0 are in use, and their settings"),
    Situation("as many VFs as now, one of a guest", replace(with_vf(driver="vfio-pci"), nics=tuple(
        replace(nic, vfs_now=1, vfs_total=8) if nic.address == X710 else nic for nic in with_vf(driver="vfio-pci").nics)),
        site_with("nics: [{nic: enp5s0f0, physnet: physnet1, role: sriov, vfs: 1}]", servers="")),
    Situation("a guest's VF", with_vf(driver="vfio-pci"), ONE, "the NIC enp5s0f0 has VFs that are in use"),
    Situation("an idle VF", with_vf(driver="iavf", up=False), ONE, "the NIC enp5s0f0 has VFs, which go when"),
    Situation("a mate with the default route", described("apu2-one-group"), site_of("apu2-one-group"),
        "the IOMMU group of the NIC enp2s0 holds something else", ("nics.iommu-group",)),
    Situation("a disk in the group", ryzen({X710: {"group_with": ("0000:02:00.1",), "group_drivers": ("ahci",)}}), ONE,
        "the IOMMU group of the NIC enp5s0f0 holds something else", ("nics.iommu-group",)),
    Situation("OVS-DPDK and SR-IOV in one group", ryzen({SECOND: {"vfs_total": 64}}), BOTH,
        "the IOMMU group of the NIC enp5s0f0 holds something else", ("nics.iommu-group",)),
    Situation("an idle second port", ryzen(), ONE, notes=("the IOMMU group of the NIC enp5s0f0 has idle NICs",),
        doctor=("nics.iommu-group",)),
    Situation("RMRR", described("rmrr-dl380p-gen8"), site_of("rmrr-dl380p-gen8"),
        "the firmware keeps memory of the NIC ens2f0 for itself", ("nics.iommu-group",)),
    Situation("no interrupt remapping", ryzen(ALONE, interrupt_remapping=False), ONE, "interrupts are not remapped",
        ("nics.iommu-group",)),
    Situation("unsafe interrupts allowed", ryzen(ALONE, interrupt_remapping=False, unsafe_interrupts=True), ONE),
    Situation("no IOMMU at all", described("vmware-e1000"), site_of("vmware-e1000"), "there is no IOMMU",
        ("nics.iommu-group",)),
    Situation("an IOMMU that stays off", ryzen(ALONE, iommu=False, parameters=("iommu=pt",),
        iommu_reason="off: the firmware shows one (x), but the kernel does not use it"), ONE, "there is no IOMMU",
        ("nics.iommu-group",)),
    Situation("an IOMMU that apply switches on", ryzen(ALONE, iommu=False, iommu_reason="off: intel_iommu=on is missing"),
        ONE, notes=("the IOMMU is off, and vfio-pci needs it",), doctor=("nics.iommu-group",)),
    Situation("no-IOMMU mode", ryzen(ALONE, iommu=False, noiommu=True, iommu_reason="off: the firmware shows none"), ONE,
        notes=("VFIO drives the NIC enp5s0f0 without an IOMMU",)),
    Situation("InfiniBand", ryzen({X710: {**ALONE[X710], "infiniband": True}}), ONE, "the NIC enp5s0f0 is an InfiniBand port"),
    Situation("RDMA's modules missing", described("mlx-rdma-modules"), site_of("mlx-rdma-modules"),
        notes=("DPDK's driver of the NIC ens3f0np0 needs kernel modules",), doctor=("nics.driver-files",)),
    Situation("the host's own NIC for VFs", described("sriov-on-the-hosts-own-nic"), site_of("sriov-on-the-hosts-own-nic"),
        "the NIC eno1 is in use"),
]  # fmt: skip
IDS = [situation.name for situation in SITUATIONS]


@pytest.mark.parametrize("situation", SITUATIONS, ids=IDS)
def test_plan(situation: Situation) -> None:
    try:
        findings = make_plan(situation.site, situation.facts).findings
    except BadInput as refused:
        findings = refused.findings
    errors = [one.claim for one in findings if one.severity is Severity.ERROR]
    assert [claim for claim in errors if claim.startswith(situation.claim or "-")] or not situation.claim, errors
    assert situation.claim or not errors
    for note in situation.notes:
        assert any(one.claim.startswith(note) for one in findings), findings


@pytest.mark.parametrize("situation", SITUATIONS, ids=IDS)
def test_apply(situation: Situation) -> None:
    """It refuses for the same reasons, also with a plan that was made before they came."""
    plan = make_plan(situation.site, situation.facts, fit=False)
    claims = [found.claim for found in refusals(Target(situation.site, situation.facts, plan), SURVEY)]
    assert any(claim.startswith(situation.claim) for claim in claims) if situation.claim else claims == []


@pytest.mark.parametrize("situation", SITUATIONS, ids=IDS)
def test_inspect(situation: Situation) -> None:
    """A NIC that OVS-DPDK cannot have is not offered to it, and the reason is there."""
    text = facts_text(situation.facts, 400)
    offered = {line.split()[1] for line in text.splitlines() if "OVS-DPDK may have it" in line}
    for nic in situation.facts.nics:
        if nic.address:
            errors = [one.claim for one in verdict(situation.facts, nic, OVS) if one.severity is Severity.ERROR]
            assert (nic.address in offered) == (not errors), nic.address
            assert nic.uses or all(claim in text or "DPDK cannot drive" in claim for claim in errors)


@pytest.mark.parametrize("situation", SITUATIONS, ids=IDS)
def test_doctor(situation: Situation) -> None:
    """On a host as it is now, its live readings those of a healthy one."""
    plan = make_plan(situation.site, situation.facts, fit=False)
    drivers = {
        mate: driver
        for nic in situation.facts.nics
        for mate, driver in zip(nic.group_with, nic.group_drivers, strict=True)
    }
    live = replace(case("healthy").live, drivers=drivers)
    results = diagnose(live, Target(situation.site, situation.facts, plan)).checks
    failed = {
        check.id
        for check in results
        if check.id in ("nics.iommu-group", "nics.driver-files")
        and any(problem.finding.severity is Severity.ERROR for problem in check.problems)
    }
    assert failed == {*situation.doctor}


def test_a_nic_with_another_role_is_no_companion() -> None:
    plan = make_plan(BOTH, ryzen({SECOND: {"vfs_total": 64}}), fit=False)
    assert companions(Target(BOTH, ryzen(), plan)) == ()


def test_vfs_that_the_firmware_does_not_offer() -> None:
    name = "too-many-vfs"
    with pytest.raises(BadInput) as refused:
        make_plan(site_of(name), described(name))
    remedies = [finding.remedy for finding in refused.value.findings]
    assert "fewer vfs" in remedies[0]
    assert "SR-IOV on in the firmware" in remedies[1]
    assert "fewer" not in remedies[1]


def test_a_bond_is_refused_as_one() -> None:
    with pytest.raises(BadInput, match="bonds of NICs are not supported"):
        site_of("bond")
