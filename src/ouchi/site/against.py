"""Check a site against the machine it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, error
from ouchi.facts import Facts
from ouchi.facts.verdict import obstacles, verdict
from ouchi.site.models import POOLS, Site
from ouchi.site.text import did_you_mean, one_of, quoted


def check_against(site: Site, facts: Facts, *, fit: bool = True) -> list[Finding]:
    """Return findings where `site` does not fit this machine: CPUs that are not online, NICs missing or unfit.

    ``fit=False``: without the verdicts of NICs.
    """
    return [*_cpus(site, facts), *_nics(site, facts, fit=fit)]


def _cpus(site: Site, facts: Facts) -> Iterator[Finding]:
    online = {cpu.id for cpu in facts.cpus if cpu.online}
    for pool in POOLS:
        absent = set(getattr(site.cpus, pool) or ()) - online
        if absent:
            yield error(
                f"the pool {pool} has CPUs that are not online on this machine",
                where=site.where("cpus", pool),
                found=f"CPU {format_cpus(absent)}",
                expected=f"CPUs out of {format_cpus(online)}",
            )


def _nics(site: Site, facts: Facts, *, fit: bool) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    roles = {nic.address: one.role for one in site.nics for nic in facts.nics if one.nic in (nic.name, nic.address)}
    for index, requested in enumerate(site.nics):
        where = site.where("nics", index, "nic")
        nic = next((nic for nic in facts.nics if requested.nic in (nic.name, nic.address)), None)
        if nic is None:
            yield _no_such_nic(requested.nic, where, facts)
            continue
        for found in verdict(facts, nic, requested.role, requested.vfs, roles) if fit else ():
            yield replace(found, where=where, remedy=found.remedy or _others(facts))
        key = nic.address or nic.name
        if key in taken:
            yield error(
                f"the NIC {nic.name or nic.address} is there twice",
                where=where,
                found=f"{requested.nic} and {taken[key]}",
                expected="each NIC once",
            )
        taken.setdefault(key, requested.nic)


def _no_such_nic(name: str, where: str, facts: Facts) -> Finding:
    names = [nic.name or nic.address for nic in facts.nics if nic.physical]
    near = did_you_mean(name, [*names, *(nic.address for nic in facts.nics if nic.address)])
    return error(
        f"this machine has no NIC {name}",
        where=where,
        found=quoted(name),
        expected=one_of(names),
        remedy=near or _others(facts),
    )


def _others(facts: Facts) -> str:
    free = [nic.name or nic.address for nic in facts.nics if nic.address and not obstacles(facts, nic)]
    return f"free: {', '.join(free)}" if free else "leave nics out; the networks then stay within this machine"
