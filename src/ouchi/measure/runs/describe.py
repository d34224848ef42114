"""The description of a run: labels, host, versions and settings."""

from __future__ import annotations

import platform
from datetime import UTC, datetime

from ouchi import __version__
from ouchi.machine import Machine
from ouchi.measure.paths.cpus import Placement
from ouchi.measure.paths.open import IDLE_SLEEP
from ouchi.measure.request import BenchRequest
from ouchi.measure.runs.model import RunInfo
from ouchi.plan import Plan
from ouchi.plan.pools import OVERLAPPED
from ouchi.plan.target import Target
from ouchi.vnf.vm import VIRTQUEUE_SIZE


def describe(
    machine: Machine, target: Target, request: BenchRequest, placement: Placement, *, labels: tuple[str, ...]
) -> RunInfo:
    """The description at the start of a run."""
    facts, plan, path = target.facts, target.plan, request.path
    vhost_user = path.through_ovs and (not path.wired or bool(path.guests))
    return RunInfo(
        name=f"{path.name} on {facts.system.hostname}",
        started=now(),
        path=path.name,
        request=request.to_json(),
        labels=labels,
        host={
            "processor": facts.processor.model,
            "cores": len({(cpu.package, cpu.core) for cpu in facts.cpus if cpu.online}),
            "distribution": facts.system.distribution.pretty,
            "virtual": facts.system.virtual or "no",
        },
        versions={
            "ouchi": __version__,
            "generator_dpdk": machine.run(("pkg-config", "--modversion", "libdpdk")).stdout.strip(),
            "open_vswitch": facts.ovs_version or "-",
            "kernel": platform.release(),
        },
        settings={
            **cpu_settings(plan, request, placement),
            **({"generator_idle_sleep": f"{IDLE_SLEEP * 1e6:g} µs"} if placement.shared else {}),
            **(
                {"virtqueues": f"{VIRTQUEUE_SIZE} descriptors, packed except in virtual machines"} if vhost_user else {}
            ),
            **({"generator_scheduling": "SCHED_FIFO, where the kernel allows it"} if placement.realtime else {}),
            "mtu": request.mtu,
            "hugepages": f"{placement.page_kib} KiB",
            "forwarding": _forwarding(request),
        },
    )


def cpu_settings(plan: Plan, request: BenchRequest, placement: Placement) -> dict[str, list[int]]:
    """The CPUs of OVS, the generator and the guests."""
    return {
        "pmd_cpus": list(plan.pools.pmd) if request.path.through_ovs else [],
        "generator_cpus": list(placement.workers),
        **({"guest_cpus": list(placement.guests)} if request.path.guests else {}),
    }


def labels_of(
    target: Target, request: BenchRequest, placement: Placement, *, servers_running: bool, emulated: bool
) -> tuple[str, ...]:
    """The qualifications of every figure of a run.

    ``servers_running``: the site's servers run meanwhile; ``emulated``: KVM does not work.
    """
    labels = []
    if target.plan.overlapped:
        labels.append(OVERLAPPED)
    if target.facts.system.virtual:
        labels.append("shared machine: its CPUs are virtual")
    if request.path.guests and placement.shared:
        labels.append("shared cores: the generator and the guests have too few CPUs for one each")
    if request.routed and emulated:
        labels.append("emulated guests (TCG): figures are not meaningful as performance")
    if servers_running:
        labels.append("the site's servers run at the same time, on the generator's CPUs")
    return tuple(labels)


def now() -> str:
    """The time with its zone, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _forwarding(request: BenchRequest) -> str:
    match request.path.kind:
        case "loop":
            return "none"
        case "kernel":
            return "the kernel's bridge, by learnt MAC addresses"
        case "ovs" if len(request.path.generator_ports) == 1:
            return "a flow back to the port (in_port)"
        case "ovs" if request.template.tagged:
            return "a flow from port to port (output)"
        case "ovs":
            return "by learnt MAC addresses (NORMAL)"
