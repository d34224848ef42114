"""Rx queues of Open vSwitch: every one polled, by the planned PMD threads, none of which is overloaded."""

from __future__ import annotations

from collections import defaultdict

from ouchi.checks.model import Fix, Level, Problem, Seen, check, named, ok
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import LOGS, configuring, fix_then, vsctl
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import error, info, warning
from ouchi.live.host import SWITCH, Live
from ouchi.live.ovs import Switch
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.steps.command import command

SHOW = "ovs-appctl dpif-netdev/pmd-rxq-show"

BUSY, IDLE = 90, 50
"""Per cent of a PMD thread's cycles: from the one on it is about to lose packets, up to the other it has room."""

UNPOLLED = "packets wait in the Rx queue until it is full; the rest is dropped by the NIC or by the guest, not by OVS"


@check("ovs.queues-polled", Level.PLACED, "every Rx queue is polled", SWITCH)
@answered("tables", "queues", daemon=True)
def queues_polled(live: Live, _target: Target) -> Seen | None:
    """Look for Rx queues without a PMD thread."""
    switch = live.switch
    seen = {(queue.port, queue.number) for queue in switch.queues}
    unpolled = [
        port.name if missing == list(range(port.rxqs)) else f"{port.name} (queue {', '.join(map(str, missing))})"
        for port in switch.ports
        if port.polled and (missing := [number for number in range(port.rxqs) if (port.name, number) not in seen])
    ]
    if not unpolled:
        return ok(counted(len(switch.queues), "Rx queue"))
    isolated = [cpu for cpu, alone in switch.pmds.items() if alone]
    return error(
        f"no PMD thread polls the ports {', '.join(unpolled[:8])}",
        where=SHOW,
        found=f"the PMD threads of {named(isolated)} poll pinned Rx queues only"
        if isolated
        else "none of their Rx queues",
        expected="every Rx queue at a PMD thread",
        remedy=_not_isolated(switch) if isolated else LOGS,
        why=UNPOLLED,
    )


@check("ovs.queue-placement", Level.PLACED, "Rx queues are polled on the planned CPUs", SWITCH)
@answered("queues", daemon=True)
def queue_placement(live: Live, target: Target) -> Seen | None:
    """Look for Rx queues at PMD threads that are not in the plan."""
    pool = target.plan.pools.pmd
    misplaced = [queue for queue in live.switch.queues if queue.cpu not in pool]
    if not misplaced:
        return ok(f"on {format_cpus(pool)}")
    return error(
        "Rx queues are polled on CPUs outside the pmd pool",
        where=SHOW,
        found="; ".join(f"{queue.port} queue {queue.number} on CPU {queue.cpu}" for queue in misplaced[:6]),
        expected=f"on {format_cpus(pool)} only",
        remedy=configuring(live.switch),
        why="the host's programs or a guest run there as well and preempt the PMD thread for milliseconds",
    )


@check("ovs.pinned-queues", Level.LOSS, "PMD threads poll more than pinned Rx queues", SWITCH)
@answered("queues", daemon=True)
def pinned_queues(live: Live, _target: Target) -> Seen | None:
    """Look for PMD threads that are isolated (``pmd-rxq-isolate``): they poll pinned Rx queues only."""
    isolated = [cpu for cpu, alone in live.switch.pmds.items() if alone]
    if not isolated:
        return ok()
    every = len(isolated) == len(live.switch.pmds)
    severity = warning if every else info
    return severity(
        "every PMD thread polls pinned Rx queues only"
        if every
        else f"the PMD threads of {named(isolated)} poll pinned Rx queues only",
        where=SHOW,
        found="isolated : true",
        expected="pmd-rxq-isolate=false, so that they poll guests' ports as well",
        remedy=_not_isolated(live.switch),
        why=UNPOLLED if every else "the others poll everything that is not pinned, and are overloaded sooner",
    )


@check("ovs.pmd-load", Level.LOSS, "no PMD thread is overloaded", SWITCH)
@answered("queues", daemon=True)
def pmd_load(live: Live, _target: Target) -> Seen | None:
    """Look for PMD threads near their full load, and whether others have room for their Rx queues."""
    switch = live.switch
    usage = dict.fromkeys(switch.pmds, 0)
    busy_queues: dict[int, int] = defaultdict(int)
    for queue in switch.queues:
        usage[queue.cpu] = usage.get(queue.cpu, 0) + max(0, queue.usage)
        busy_queues[queue.cpu] += queue.usage > 0
    full = [cpu for cpu, used in usage.items() if used >= BUSY]
    seen = ", ".join(f"CPU {cpu} {used} %" for cpu, used in sorted(usage.items()))
    if not full:
        return ok(seen)
    movable = any(busy_queues[cpu] > 1 for cpu in full) and min(usage.values()) <= IDLE
    finding = warning(
        f"the PMD threads of {named(full)} are overloaded" + (" while others have room" if movable else ""),
        where=SHOW,
        found=seen,
        expected=f"less than {BUSY} % each",
        remedy=fix_then(f"{vsctl(switch)} set Open_vSwitch . other_config:pmd-auto-lb=true")
        if movable
        else "cpus.pmd_cores in your site file, or more Rx queues",
        why="an overloaded PMD thread receives packets later than they arrive: the NICs' rings overflow",
    )
    control = f"{switch.run}/ovs-vswitchd.{switch.pid}.ctl"
    rebalance = command("ovs-appctl", "--timeout=5", "-t", control, "dpif-netdev/pmd-rxq-rebalance")
    return Problem(finding, Fix("Rx queues rebalanced", (rebalance,)) if movable else None)


def _not_isolated(switch: Switch) -> str:
    return f"{vsctl(switch)} set Open_vSwitch . other_config:pmd-rxq-isolate=false"
