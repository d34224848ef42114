"""Rx queues of Open vSwitch: every one polled, by the planned PMD threads, none of which is overloaded."""

from __future__ import annotations

from collections import Counter

from ouchi.checks.model import Fix, Level, Problem, Seen, check, named, ok, unknown
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import LOGS, configuring, fix_then, vsctl
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import error, info, warning
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.ovs import Switch
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.steps.command import command

SHOW = "ovs-appctl dpif-netdev/pmd-rxq-show"

BUSY, IDLE = 95, 50
"""Per cent of a PMD thread's cycles: from the one on Open vSwitch itself calls it overloaded
(``pmd-auto-lb-load-threshold``, vswitchd/vswitch.xml), up to the other it has room."""

UNPOLLED = "packets wait in the Rx queue until it is full; the rest is dropped by the NIC or by the guest, not by OVS"


@check("ovs.queues-polled", Level.PLACED, "every Rx queue is polled", SWITCH, MACHINE)
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
    isolated = [cpu for cpu, pmd in switch.pmds.items() if pmd.isolated]
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


@check("ovs.queue-placement", Level.PLACED, "Rx queues are polled on the planned CPUs", SWITCH, MACHINE)
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


@check("ovs.pinned-queues", Level.LOSS, "PMD threads poll more than pinned Rx queues", SWITCH, MACHINE)
@answered("queues", daemon=True)
def pinned_queues(live: Live, _target: Target) -> Seen | None:
    """Look for PMD threads that are isolated (``pmd-rxq-isolate``): they poll pinned Rx queues only."""
    isolated = [cpu for cpu, pmd in live.switch.pmds.items() if pmd.isolated]
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


@check("ovs.pmd-load", Level.LOSS, "no PMD thread is overloaded", SWITCH, MACHINE)
@answered("queues", daemon=True)
def pmd_load(live: Live, _target: Target) -> Seen | None:
    """Look for PMD threads near their full load, and whether others have room for their Rx queues.

    The load is that of the Rx queues and the overhead, each of which is printed without its fraction: half a per cent
    is added for each that has any.
    """
    switch = live.switch
    loads: dict[int, list[int]] = {cpu: [pmd.overhead] for cpu, pmd in switch.pmds.items()}
    unmeasured: set[int] = set()
    for queue in switch.queues:
        if queue.usage < 0:
            unmeasured.add(queue.cpu)
        else:
            loads[queue.cpu].append(queue.usage)
    usage = {cpu: sum(parts) + sum(part > 0 for part in parts) // 2 for cpu, parts in loads.items()}
    full = [cpu for cpu, used in usage.items() if used >= BUSY]
    seen = ", ".join(
        f"CPU {cpu} " + ("not measured" if cpu in unmeasured else f"{used} %") for cpu, used in sorted(usage.items())
    )
    if not full:
        return unknown(f"{seen}: Open vSwitch measures for some seconds first") if unmeasured else ok(seen)
    movable = any(len([part for part in loads[cpu][1:] if part]) > 1 for cpu in full) and min(usage.values()) <= IDLE
    finding = warning(
        f"the PMD threads of {named(full)} are overloaded" + (" while others have room" if movable else ""),
        where=SHOW,
        found=seen,
        expected=f"less than {BUSY} % each",
        remedy=fix_then(f"{vsctl(switch)} set Open_vSwitch . other_config:pmd-auto-lb=true")
        if movable
        else "cpus.pmd_cores in your site file, or more Rx queues",
        why="a PMD thread without idle time receives packets later than they arrive: what then comes in a burst overflows "
        "the NICs' rings",
    )
    control = f"{switch.run}/ovs-vswitchd.{switch.pid}.ctl"
    rebalance = command("ovs-appctl", "--timeout=5", "-t", control, "dpif-netdev/pmd-rxq-rebalance")
    return Problem(finding, Fix("Rx queues rebalanced", (rebalance,)) if movable else None)


@check("ovs.idle-pmd", Level.LOSS, "no PMD thread is without Rx queues while another has several", SWITCH, MACHINE)
@answered("queues", daemon=True)
def idle_pmd(live: Live, _target: Target) -> Seen | None:
    """Look for PMD threads that poll nothing beside one of their node that polls several Rx queues."""
    switch = live.switch
    count = Counter(queue.cpu for queue in switch.queues)
    several = {pmd.node for cpu, pmd in switch.pmds.items() if count[cpu] > 1}
    idle = [cpu for cpu, pmd in switch.pmds.items() if not count[cpu] and pmd.node in several]
    if not idle:
        return ok()
    return info(
        f"the PMD threads of {named(idle)} poll nothing",
        where=SHOW,
        found="; ".join(f"CPU {cpu}: {counted(count[cpu], 'Rx queue')}" for cpu in sorted(switch.pmds)),
        expected="Rx queues at every PMD thread",
        remedy=f"ovs-appctl dpif-netdev/pmd-rxq-rebalance; what pins them: {vsctl(switch)} get Interface PORT "
        "other_config:pmd-rxq-affinity",
        why="the CPU is busy with polling nothing, and its load is at the others",
    )


@check("ovs.queue-node", Level.LOSS, "Rx queues are polled on the NUMA node of their port", SWITCH, MACHINE)
@answered("tables", "queues", daemon=True)
def queue_node(live: Live, _target: Target) -> Seen | None:
    """Compare the NUMA node of each PMD thread with those of its ports: of the NIC, or of the guest's memory."""
    switch = live.switch
    nodes = {port.name: port.node for port in switch.ports if port.node >= 0}
    remote = [
        queue
        for queue in switch.queues
        if nodes.get(queue.port, -1) >= 0 and 0 <= switch.pmds[queue.cpu].node != nodes[queue.port]
    ]
    if not remote:
        return ok()
    without = {nodes[queue.port] for queue in remote} - {pmd.node for pmd in switch.pmds.values()}
    return warning(
        f"the ports {', '.join(dict.fromkeys(queue.port for queue in remote[:8]))} are polled from another NUMA node",
        where=SHOW,
        found="; ".join(
            f"{queue.port} of node {nodes[queue.port]} on CPU {queue.cpu} of node {switch.pmds[queue.cpu].node}"
            for queue in remote[:6]
        ),
        expected="a PMD thread on the port's node",
        remedy=f"PMD threads on node {', '.join(map(str, sorted(without)))}: cpus in your site file, then: "
        f"{configuring(switch)}"
        if without
        else f"{vsctl(switch)} remove Interface PORT other_config pmd-rxq-affinity",
        why="each packet crosses the link between the nodes: the PMD thread needs more cycles for it and is full sooner",
    )


def _not_isolated(switch: Switch) -> str:
    return f"{vsctl(switch)} set Open_vSwitch . other_config:pmd-rxq-isolate=false"
