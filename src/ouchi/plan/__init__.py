"""The plan: a host's CPUs, memory and NICs for one site, and the reason for every choice.

Pure: a site and facts go in, a value comes out; nothing is read or changed.
"""

from __future__ import annotations

from dataclasses import replace

from ouchi.errors import BadInput, Severity, error, info, warning
from ouchi.facts import Facts, physical_cores
from ouchi.plan.guests import in_turn, place_guests
from ouchi.plan.keys import nova_keys, ovs_other_config
from ouchi.plan.memory import plan_memory
from ouchi.plan.pools import choose_pools, refused
from ouchi.plan.values import (
    SCHEMA,
    GuestPlan,
    HugepageNeed,
    NicPlan,
    Notes,
    NovaValue,
    Plan,
    Pools,
    Reason,
)
from ouchi.site import Site, check_against

__all__ = ["GuestPlan", "HugepageNeed", "NicPlan", "NovaValue", "Plan", "Pools", "Reason", "make_plan"]


def make_plan(site: Site, facts: Facts, ovs_version: str = "") -> Plan:
    """The plan of a host.

    ``ovs_version`` (``3.1.0``) decides the names of some OVS keys; unknown leaves those out.
    Raises :class:`BadInput` with every reason why the site cannot be had on this host.
    """
    notes = Notes()
    cores = physical_cores(facts.cpus)
    _check_site(site, facts, notes)
    nics = _nics(site, facts, notes)
    nic_nodes = tuple(sorted({nic.node for nic in nics} & {core.node for core in cores}))
    demand = [site.servers[index].vcpus for index in in_turn(site)]
    pools = choose_pools(site, cores, nic_nodes, demand, notes)
    pmd_nodes = tuple(sorted({core.node for core in cores if set(core.cpus) & set(pools.pmd)}))
    guests = place_guests(site, cores, {node.node for node in facts.memory}, pools, pmd_nodes, notes)
    memory = plan_memory(site, facts, pools, nics, guests, notes)
    _stop_on_errors(notes)
    return Plan(
        schema=SCHEMA,
        pools=pools,
        isolated=(),
        overlapped=pools.overlapped,
        hugepages=memory.hugepages,
        ovs_other_config=ovs_other_config(facts, pools, memory, nics, ovs_version, notes),
        nova=nova_keys(pools, memory, guests),
        nics=nics,
        guests=guests,
        reasons=tuple(notes.reasons),
        findings=tuple(notes.findings),
    )


def _check_site(site: Site, facts: Facts, notes: Notes) -> None:
    """Stop before choosing pools when the site names CPUs or NICs that cannot be had."""
    online = replace(facts, cpus=tuple(cpu for cpu in facts.cpus if cpu.online))
    for finding in check_against(site, online):
        notes.find(finding)
    if not online.cpus:
        notes.find(error("no CPU is online", where="/sys/devices/system/cpu", expected="at least one online CPU"))
    else:
        for finding in refused(site, physical_cores(facts.cpus)):
            notes.find(finding)
    _stop_on_errors(notes)


def _nics(site: Site, facts: Facts, notes: Notes) -> tuple[NicPlan, ...]:
    """The site's NICs as the machine knows them."""
    several = len({cpu.node for cpu in facts.cpus if cpu.online}) > 1
    plans = []
    for index, wanted in enumerate(site.nics):
        nic = next(nic for nic in facts.nics if wanted.nic in (nic.name, nic.address))
        where = site.where("nics", index, "nic")
        if not nic.address:
            notes.find(
                error(
                    f"DPDK cannot drive the NIC {nic.name}",
                    where=where,
                    found="it has no PCI address" + (f" (driver {nic.driver})" if nic.driver else ""),
                    expected="a NIC on a PCI bus",
                )
            )
        else:
            notes.find(
                warning(
                    f"the NIC {nic.name} is planned for but left alone: {wanted.physnet} has no uplink yet",
                    where=where,
                    found="this version attaches no physical NIC",
                    expected="guests and endpoints of this host reach each other; nothing leaves it",
                )
            )
        if several and not nic.node_known:
            notes.find(
                info(f"the firmware does not say on which NUMA node {nic.name} is: node 0 is assumed", where=where)
            )
        plans.append(NicPlan(nic.name, nic.address, nic.node, wanted.physnet))
    return tuple(plans)


def _stop_on_errors(notes: Notes) -> None:
    errors = [finding for finding in notes.findings if finding.severity is Severity.ERROR]
    if errors:
        raise BadInput(errors)
