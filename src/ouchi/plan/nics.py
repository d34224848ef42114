"""The role of each NIC, whether DPDK can drive it, and which PMD thread polls which of its Rx queues."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ouchi.core.errors import Finding, error, info, warning
from ouchi.facts import Facts, Nic
from ouchi.facts.dpdk import missing_package, support
from ouchi.facts.verdict import OVS, SRIOV, device_mbps, slow_slot
from ouchi.plan.values import NicPlan, Notes, Pools, VfPlan, counted, cpus_text
from ouchi.site import Site
from ouchi.site.models import Nic as SiteNic

ALONE: Final = "left alone"


def plan_nics(site: Site, facts: Facts, notes: Notes) -> tuple[NicPlan, ...]:
    """Every NIC with a PCI address, those of the site first; queues come with :func:`assign_queues`.

    What the site requests and the NIC does not support is an error finding.
    """
    plans = []
    for index, requested in enumerate(site.nics):
        nic = next(nic for nic in facts.nics if requested.nic in (nic.name, nic.address))
        verdict = support(nic, facts.dpdk)
        notes.findings += _nic_findings(site, facts, index, requested, nic)
        reason = "set in the site file" + (f": {requested.vfs} VFs for guests" if requested.vfs else "")
        plans.append(
            NicPlan(
                name=nic.name,
                address=nic.address,
                node=nic.node,
                role=requested.role,
                physnet=requested.physnet,
                vfs=_vfs(site, requested, nic),
                rxqs=(),
                dpdk=verdict,
                reason=reason,
            )
        )
    taken = {plan.address for plan in plans}
    for nic in facts.nics:
        if nic.address and nic.address not in taken:
            why = nic.use or "not in the site file"
            plans.append(NicPlan(nic.name, nic.address, nic.node, ALONE, "", (), (), support(nic, facts.dpdk), why))
    return tuple(plans)


def _vfs(site: Site, requested: SiteNic, nic: Nic) -> tuple[VfPlan, ...]:
    """The VFs of a NIC, all with the settings of the site file."""
    vlan, trust, spoof_check = requested.vlan or 0, requested.trust, requested.spoof_check
    return tuple(
        VfPlan(vf_mac(site.name, nic.address, number), vlan, trust, spoof_check) for number in range(requested.vfs)
    )


def vf_mac(site: str, address: str, number: int) -> str:
    """A locally administered MAC address that depends only on the site's name, the NIC and the VF's number."""
    digest = hashlib.sha256(f"{site} {address} {number}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def missing_packages(site: Site, facts: Facts) -> tuple[str, ...]:
    """The packages of drivers that the site's NICs need and this host has not, by name."""
    requested = {nic.nic for nic in site.nics if nic.role == OVS}
    nics = [nic for nic in facts.nics if {nic.name, nic.address} & requested]
    return tuple(sorted({package for nic in nics if (package := missing_package(nic, facts.dpdk))}))


def assign_queues(site: Site, nics: Sequence[NicPlan], facts: Facts, pools: Pools, notes: Notes) -> tuple[NicPlan, ...]:
    """One Rx queue for each PMD thread on the NIC's node, or as many as NIC and driver have."""
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    hardware = {nic.address: nic.rx_queues for nic in facts.nics}
    plans = []
    for index, plan in enumerate(nics):
        if plan.role != OVS:
            plans.append(plan)
            continue
        local = tuple(cpu for cpu in pools.pmd if node_of[cpu] == plan.node)
        rxqs, why = _queues(plan, local, pools, hardware.get(plan.address, 0))
        notes.because(f"queues {plan.name or plan.address}", f"PMD {cpus_text(rxqs)}", why)
        if not local:
            notes.find(_far(site.where("nics", index, "nic"), plan, pools))
        plans.append(replace(plan, rxqs=rxqs))
    return tuple(plans)


def _queues(plan: NicPlan, local: tuple[int, ...], pools: Pools, hardware: int) -> tuple[tuple[int, ...], str]:
    """Return the PMD thread of each Rx queue of a NIC, and the reason for their number."""
    threads, limit = local or pools.pmd, plan.dpdk.most_queues
    if limit and limit < len(threads):
        return threads[:limit], f"{plan.dpdk.pmd} has no more than {counted(limit, 'Rx queue')} for this NIC"
    # A kernel driver that was not configured for more shows one: no limit of the NIC.
    if 1 < hardware < len(threads):
        return threads[:hardware], f"the NIC shows {counted(hardware, 'Rx queue')}"
    where = " on its NUMA node" if local else "; none is on its NUMA node"
    return threads, f"an Rx queue for each PMD thread{where}"


def _far(where: str, plan: NicPlan, pools: Pools) -> Finding:
    return warning(
        f"no PMD thread is on the NUMA node of the NIC {plan.name or plan.address}",
        where=where,
        found=f"the NIC is on node {plan.node}, PMD are CPUs {cpus_text(pools.pmd)}: each packet crosses between nodes",
        expected=f"a polling core on node {plan.node}",
        remedy="cpus.pmd or cpus.pmd_cores in the site file, or the NIC in a slot of the other socket",
    )


def _nic_findings(site: Site, facts: Facts, index: int, requested: SiteNic, nic: Nic) -> Iterator[Finding]:
    where = site.where("nics", index, "nic")
    name = nic.name or nic.address
    if requested.role == OVS and (package := missing_package(nic, facts.dpdk)):
        yield info(
            f"the driver of the NIC {name} comes with the package {package}, which ouchi up installs", where=where
        )
    if requested.role == SRIOV and requested.vfs > nic.vfs_total:
        yield error(
            f"the NIC {name} has fewer VFs",
            where=site.where("nics", index, "vfs"),
            found=f"{requested.vfs} requested, {nic.vfs_total} available",
            expected=f"at most {nic.vfs_total}" if nic.vfs_total else "a NIC with SR-IOV, switched on in its firmware",
            remedy="fewer vfs, or another NIC: ouchi inspect"
            if nic.vfs_total
            else "SR-IOV on in the firmware of the NIC and of the host (for ConnectX: mlxconfig SRIOV_EN=1 NUM_OF_VFS=N)",
        )
    if len({cpu.node for cpu in facts.cpus if cpu.online}) > 1 and not nic.node_known:
        yield info(f"the firmware does not say on which NUMA node {name} is: node 0 is assumed", where=where)
    link = nic.pcie
    if link and slow_slot(nic, device_mbps(facts, nic)):
        yield info(
            f"the PCIe slot of the NIC {name} is slower than the NIC",
            where=where,
            found=f"{link.speed_gts:g} GT/s x{link.width}",
            expected=f"{link.max_speed_gts:g} GT/s x{link.max_width}, or less traffic than the link carries",
        )
