"""Isolated CPUs and the kernel parameters.

OVS and guests run without them: ``up`` does not set them unless the site file says so, because they need a reboot.
Sources: Documentation/admin-guide/kernel-parameters.txt; the AMD driver has no ``amd_iommu=on``
(``parse_amd_iommu_options`` in drivers/iommu/amd/init.c).
"""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import warning
from ouchi.facts import Facts
from ouchi.facts.verdict import OVS, SRIOV
from ouchi.plan.values import HugepageNeed, NicPlan, Notes, Pools, cpus_text
from ouchi.site import Site

SIZES = {2048: "2M", 1024 * 1024: "1G"}


def isolated_cpus(site: Site, facts: Facts, pools: Pools, notes: Notes) -> tuple[int, ...]:
    """PMD threads and pinned guests; never the shared pool, where the scheduler has to balance."""
    wrongly = {cpu.id for cpu in facts.cpus if cpu.isolated} & {*pools.host, *pools.shared}
    if wrongly:
        notes.find(
            warning(
                f"CPUs {cpus_text(wrongly)} are isolated since boot, but in the pool host or shared",
                where="/sys/devices/system/cpu/isolated",
                found=cpus_text(cpu.id for cpu in facts.cpus if cpu.isolated),
                expected="CPUs over which Linux balances load: among isolated ones all threads stay on one",
                remedy="ouchi apply, which reboots the host",
            )
        )
    if site.cpus.isolate is False:
        notes.because("isolated", "none", "set in the site file (cpus.isolate)")
        return ()
    if pools.overlapped:
        notes.because("isolated", "none", "the PMD thread shares its CPU: isolating it would starve the host")
        return ()
    found = tuple(sorted({*pools.pmd, *pools.dedicated} - {*pools.shared, *pools.host}))
    notes.because(
        "isolated", cpus_text(found), "PMD threads and pinned vCPUs, each alone on its CPU; the shared pool is not"
    )
    return found


def kernel_args(
    facts: Facts, pools: Pools, isolated: Sequence[int], pages: Sequence[HugepageNeed], nics: Sequence[NicPlan]
) -> tuple[str, ...]:
    """The kernel parameters to add."""
    parameters = [*_hugepages(facts, pages)]
    # VFs go to guests by VFIO whatever drives their NIC.
    if any(nic.role == SRIOV or (nic.role == OVS and not nic.dpdk.bifurcated) for nic in nics):
        parameters += _iommu(facts)
    if isolated:
        cpus = format_cpus(isolated)
        parameters += [f"isolcpus=domain,managed_irq,{cpus}", f"nohz_full={cpus}", f"rcu_nocbs={cpus}"]
        parameters.append(f"irqaffinity={format_cpus(pools.host)}")
    return tuple(parameters)


def _hugepages(facts: Facts, pages: Sequence[HugepageNeed]) -> list[str]:
    """One size; node by node where the machine has several (``0:512,1:512``, since Linux 5.16).

    A single number would be spread evenly over all nodes, also when only one of them needs pages.
    """
    if not pages:
        return []
    size = SIZES[pages[0].size_kib]
    several = len(facts.memory) > 1
    counts = ",".join(f"{need.node}:{need.count}" if several else str(need.count) for need in pages)
    return [f"default_hugepagesz={size}", f"hugepagesz={size}", f"hugepages={counts}"]


def _iommu(facts: Facts) -> list[str]:
    if facts.processor.vendor == "GenuineIntel":
        return ["intel_iommu=on", "iommu=pt"]
    return ["iommu.passthrough=1"] if facts.system.architecture == "aarch64" else ["iommu=pt"]
