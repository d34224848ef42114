"""The plan: a host's CPUs, memory and NICs for one site, and the reason for every choice.

Pure: a site and facts go in, a value comes out; nothing is read or changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import error
from ouchi.facts import Core, Facts, physical_cores
from ouchi.plan.alternatives import choose, compare, drafts
from ouchi.plan.kernel import isolated_cpus, kernel_args
from ouchi.plan.keys import nova_keys, ovs_other_config
from ouchi.plan.nics import plan_nics
from ouchi.plan.nodes import memoryless_nodes
from ouchi.plan.pools import refused
from ouchi.plan.values import (
    SCHEMA,
    Alternative,
    GuestPlan,
    HugepageNeed,
    NicPlan,
    Notes,
    Plan,
    Pools,
    Style,
    cpus_text,
)
from ouchi.site import Site, check_against

__all__ = [
    "Alternative",
    "GuestPlan",
    "HugepageNeed",
    "NicPlan",
    "Plan",
    "Pools",
    "Style",
    "make_plan",
]


def make_plan(site: Site, facts: Facts, style: Style | None = None, *, fit: bool = True) -> Plan:
    """The plan of a host, in the style that the site prefers, or in ``style``.

    ``fit=False``: also for NICs that do not fit it now, which the doctor reports in its own checks.

    Raises :class:`~ouchi.core.errors.BadInput` with every reason why the site is not possible on this host.
    """
    notes = Notes()
    facts = _without_forbidden(site, facts, notes)
    cores = physical_cores(facts.cpus)
    _check_site(site, facts, cores, notes, fit=fit)
    nics = plan_nics(site, facts, notes)
    found = drafts(site, facts, cores, nics)
    chosen = choose(site, found, style or Style(site.cpus.prefer), cores)
    notes.take(chosen.notes)
    notes.stop_on_errors()
    isolated = isolated_cpus(site, facts, chosen.pools, notes)
    return Plan(
        schema=SCHEMA,
        name=chosen.style.value,
        pools=chosen.pools,
        isolated=isolated,
        overlapped=chosen.pools.overlapped,
        hugepages=chosen.memory.hugepages,
        kernel_args=kernel_args(facts, chosen.pools, isolated, chosen.memory.hugepages, chosen.nics),
        ovs_other_config=ovs_other_config(facts, chosen, notes),
        nova=nova_keys(site, facts, chosen),
        nics=chosen.nics,
        guests=chosen.guests,
        alternatives=compare(found, chosen, facts, cores),
        reasons=tuple(notes.reasons),
        findings=tuple(notes.findings),
    )


def _without_forbidden(site: Site, facts: Facts, notes: Notes) -> Facts:
    """The host as if the forbidden CPUs were offline."""
    forbidden = set(site.cpus.forbidden or ())
    if not forbidden:
        return facts
    first = min((cpu.id for cpu in facts.cpus if cpu.online), default=0)
    where = site.where("cpus", "forbidden")
    if first in forbidden:
        notes.find(
            error(
                f"CPU {first} cannot be forbidden",
                where=where,
                found=f"CPU {first}, to which interrupts and timers are bound",
                expected="CPUs without it",
                remedy=f"take {first} out of cpus.forbidden",
            )
        )
        forbidden.discard(first)
    if absent := forbidden - {cpu.id for cpu in facts.cpus}:
        found = ", ".join(map(str, sorted(absent)))
        notes.find(
            error(
                "there are no such CPUs to forbid",
                where=where,
                found=found,
                expected=f"CPUs out of {format_cpus(cpu.id for cpu in facts.cpus)}",
                remedy="take them out of cpus.forbidden; the machine's CPUs: ouchi inspect",
            )
        )
    cpus = tuple(replace(cpu, online=cpu.online and cpu.id not in forbidden) for cpu in facts.cpus)
    return replace(facts, cpus=cpus)


def _check_site(site: Site, facts: Facts, cores: Sequence[Core], notes: Notes, *, fit: bool) -> None:
    """Stop before choosing pools when the site names CPUs or NICs that this host does not have."""
    notes.findings += check_against(site, facts, fit=fit)
    with_cpus, with_memory = {core.node for core in cores}, {node.node for node in facts.memory}
    if not cores:
        notes.find(error("no CPU is online", where="/sys/devices/system/cpu", expected="at least one online CPU"))
    elif not with_cpus & with_memory:
        notes.find(
            error(
                "no online CPU is on a NUMA node with memory",
                where="/sys/devices/system/node",
                found=f"CPUs on {cpus_text(with_cpus)}, memory on {cpus_text(with_memory)}",
                expected="both on one node: Open vSwitch's threads and guests need memory on their own",
            )
        )
    else:
        notes.findings += refused(site, cores, memoryless_nodes(facts))
    notes.stop_on_errors()
