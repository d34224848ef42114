"""Compare the facts that a saved plan was made from with those of the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import BadInput, error
from ouchi.facts import Cpu, Facts
from ouchi.plan.target import SAVE, Target

MEMORY_TOLERANCE = 0.05
"""Of a node's memory: what the kernel keeps for itself differs from boot to boot."""


def on_host(target: Target, facts: Facts) -> Target:
    """The target with the host's present facts, so that what is in use now is seen.

    Raises :class:`~ouchi.core.errors.BadInput` with every fact that the plan rests on and that has changed.
    """
    findings = [
        error(
            f"the saved plan is not for this host as it is now: {subject}",
            where=target.site_file,
            found=now,
            expected=f"{planned}, as when it was planned",
            remedy=SAVE,
        )
        for subject, now, planned in _differences(target, facts)
    ]
    if findings:
        raise BadInput(findings)
    return replace(target, facts=facts)


def _differences(target: Target, now: Facts) -> Iterator[tuple[str, str, str]]:
    """Subject, present value, planned value. Free memory, drivers and links may differ."""
    planned = target.facts
    for subject, found, expected in (
        ("host name", now.system.hostname, planned.system.hostname),
        ("architecture", now.system.architecture, planned.system.architecture),
        ("Open vSwitch", now.ovs_version, planned.ovs_version),
    ):
        if found != expected:
            yield subject, found or "none", expected or "none"
    if differing := {*map(_topology, now.cpus)} ^ {*map(_topology, planned.cpus)}:
        cpus = format_cpus({cpu for cpu, *_ in differing})
        yield f"topology of the CPUs {cpus}", _online(now), _online(planned)
    yield from _memory(now, planned)
    yield from _nics(target, now)


def _topology(cpu: Cpu) -> tuple[int, int, int, tuple[int, ...], bool]:
    return cpu.id, cpu.package, cpu.node, cpu.siblings, cpu.online


def _online(facts: Facts) -> str:
    return f"CPUs {format_cpus(cpu.id for cpu in facts.cpus if cpu.online)} online"


def _memory(now: Facts, planned: Facts) -> Iterator[tuple[str, str, str]]:
    found = {node.node: node.total_kib for node in now.memory}
    for node in planned.memory:
        total = found.get(node.node, 0)
        if abs(total - node.total_kib) > MEMORY_TOLERANCE * node.total_kib:
            yield f"memory of NUMA node {node.node}", f"{total // 1024} MiB", f"{node.total_kib // 1024} MiB"


def _nics(target: Target, now: Facts) -> Iterator[tuple[str, str, str]]:
    """The NICs that the plan uses; one that DPDK drives has neither a name nor a MAC address."""
    found = {nic.address: nic for nic in now.nics}
    planned = {nic.address: nic for nic in target.facts.nics}
    for plan in (*target.dpdk_nics, *target.sriov_nics):
        before, nic = planned[plan.address], found.get(plan.address)
        if nic is None:
            yield f"NIC {plan.address}", "no such PCI function", f"{before.vendor}:{before.device}"
            continue
        for subject, value, expected in (
            ("PCI ID", f"{nic.vendor}:{nic.device}", f"{before.vendor}:{before.device}"),
            ("NUMA node", str(nic.node), str(before.node)),
            ("MAC address", nic.mac or before.mac, before.mac or nic.mac),
        ):
            if value != expected:
                yield f"{subject} of the NIC {plan.address}", value, expected
