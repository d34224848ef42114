"""Receive queues and packet buffers inside Open vSwitch: who polls what, and whether memory was halved."""

from __future__ import annotations

from collections import defaultdict

from ouchi.checks.asking import asking
from ouchi.checks.remedies import LOGS, UP, configuring, control, fix_then, vsctl
from ouchi.checks.values import Answer, Check, Mend, Trouble, holds, judged, named, wrong
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, error, info, warning
from ouchi.live.host import SWITCH, Live
from ouchi.live.ovs import OURS, Pool, Switch
from ouchi.plan.mempools import FEWEST_MBUFS, MTU, SHARED_MBUFS, port_mbufs
from ouchi.plan.target import Target
from ouchi.plan.values import counted

SHOW = "ovs-appctl dpif-netdev/pmd-rxq-show"
POOLS = "ovs-appctl netdev-dpdk/get-mempool-info"

BUSY, IDLE = 90, 50
"""Per cent of a polling thread's time: above the one it is about to lose packets, below the other it has room."""

FEW = 0.05
"""The share of free buffers in a pool below which it is nearly empty."""

UNPOLLED = "packets wait in the queue until it is full; the rest is dropped by the card or by the guest, not by OVS"
DISCONNECTED = "a disconnected vhost port is a black hole: what is sent to it is lost, and no counter of OVS says so"
HALVED = (
    "where memory is short OVS takes half as many packet buffers and says nothing: under load cards find none free "
    "and drop (rx_nombuf)"
)


@asking("tables", "queues", daemon=True)
def polled(live: Live, _wanted: Target) -> Answer | None:
    """A polling thread for every queue."""
    switch = live.switch
    seen = {(queue.port, queue.number) for queue in switch.queues}
    unpolled = [
        port.name if missing == list(range(port.rxqs)) else f"{port.name} (queue {', '.join(map(str, missing))})"
        for port in switch.ports
        if port.polled and (missing := [number for number in range(port.rxqs) if (port.name, number) not in seen])
    ]
    if not unpolled:
        return holds(counted(len(switch.queues), "queue"))
    isolated = [poller.cpu for poller in switch.pollers if poller.isolated]
    return wrong(
        error(
            f"nobody polls the ports {', '.join(unpolled[:8])}",
            where=SHOW,
            found=f"the polling threads of {named(isolated)} poll pinned queues only"
            if isolated
            else "no queue of theirs",
            expected="every queue at a polling thread",
            remedy=_not_isolated(switch) if isolated else LOGS,
            why=UNPOLLED,
        )
    )


@asking("queues", daemon=True)
def placed(live: Live, target: Target) -> Answer | None:
    """Queues at the polling threads of the plan only."""
    pool = target.plan.pools.pmd
    astray = [queue for queue in live.switch.queues if queue.cpu not in pool]
    if not astray:
        return holds(f"on {format_cpus(pool)}")
    return wrong(
        error(
            "queues are polled on CPUs that are not for it",
            where=SHOW,
            found="; ".join(f"{queue.port} queue {queue.number} on CPU {queue.cpu}" for queue in astray[:6]),
            expected=f"polling on {format_cpus(pool)} only",
            remedy=configuring(live.switch),
            why="the host's programs or a guest run there as well and stop the polling for milliseconds",
        )
    )


@asking("queues", daemon=True)
def isolated(live: Live, _wanted: Target) -> Answer | None:
    """Polling threads that take no queue but pinned ones."""
    alone = [poller.cpu for poller in live.switch.pollers if poller.isolated]
    if not alone or not live.switch.pollers:
        return holds()
    everybody = len(alone) == len(live.switch.pollers)
    say = warning if everybody else info
    return wrong(
        say(
            "every polling thread polls pinned queues only"
            if everybody
            else f"the polling threads of {named(alone)} poll pinned queues only",
            where=SHOW,
            found="isolated : true",
            expected="pmd-rxq-isolate=false, so that they go on to poll guests' ports",
            remedy=_not_isolated(live.switch),
            why=UNPOLLED if everybody else "the others poll all that is not pinned, and are full sooner",
        )
    )


@asking("queues", daemon=True)
def balanced(live: Live, _wanted: Target) -> Answer | None:
    """No polling thread is full while another has room."""
    switch = live.switch
    usage: dict[int, int] = {poller.cpu: 0 for poller in switch.pollers}
    queues: dict[int, int] = defaultdict(int)
    for queue in switch.queues:
        usage[queue.cpu] = usage.get(queue.cpu, 0) + max(0, queue.usage)
        queues[queue.cpu] += queue.usage > 0
    full = [cpu for cpu, used in usage.items() if used >= BUSY]
    seen = ", ".join(f"CPU {cpu} {used} %" for cpu, used in sorted(usage.items()))
    if not full:
        return holds(seen)
    movable = any(queues[cpu] > 1 for cpu in full) and min(usage.values()) <= IDLE
    finding = warning(
        f"the polling threads of {named(full)} are full" + (" while others have room" if movable else ""),
        where=SHOW,
        found=seen,
        expected=f"less than {BUSY} % each",
        remedy=fix_then(f"{vsctl(switch)} set Open_vSwitch . other_config:pmd-auto-lb=true")
        if movable
        else "cpus.pmd_cores in your site file, or more queues",
        why="a polling thread that is full takes packets later than they come: the cards' rings overflow",
    )
    argv = ("ovs-appctl", "--timeout=5", "-t", control(switch), "dpif-netdev/pmd-rxq-rebalance")
    return wrong(Trouble(finding, Mend("queues shared out anew", commands=(argv,)) if movable else None))


@asking("tables")
def connected(live: Live, _wanted: Target) -> Answer | None:
    """Guests' ports have a guest behind them."""
    guests = [port for port in live.switch.ports if port.kind.startswith("dpdkvhostuser") and not port.error]
    if not guests:
        return None
    lost = [
        port.name
        for port in guests
        if port.status.get("status") == "disconnected"
        and port.options.get("vhost-server-path") not in live.switch.connected
    ]
    if not lost:
        return holds(counted(len(guests), "port"))
    return wrong(
        warning(
            f"no guest is connected to the ports {', '.join(lost[:8])}",
            where="ovs-vsctl get Interface PORT status",
            found="status=disconnected",
            expected="a guest whose driver has enabled its queues",
            remedy=f"start the guest, or: {UP}" if live.switch.whose == OURS else "start the guest, or remove the port",
            why=DISCONNECTED,
        )
    )


@asking("tables", "mempools", daemon=True)
def buffers(live: Live, target: Target) -> Answer | None:
    """As many packet buffers in each pool as OVS's own arithmetic asks for."""
    pools = live.switch.pools
    if not pools:
        return holds("no pool yet: no port needs one")
    own = live.switch.other_config.get("per-port-memory") == "true"
    troubles = []
    for pool in pools:
        shared = SHARED_MBUFS if not pool.mtu or pool.mtu >= MTU else FEWEST_MBUFS  # as dpdk_mp_create compares it
        expected = port_mbufs(1, len(target.plan.pools.pmd)) if own else shared
        # Halving is what OVS does; a pool that is a little smaller has other reasons, such as fewer descriptors.
        if pool.size <= (expected + 1) // 2:
            troubles.append(_halved(live.switch, pool, expected))
        elif pool.free < pool.size * FEW:
            troubles.append(_empty(live.switch, pool))
    return judged(troubles, f"{counted(len(pools), 'pool')}, {sum(pool.size for pool in pools)} buffers")


CHECKS = (
    Check("ovs", "every queue is polled", polled, (SWITCH,)),
    Check("ovs", "queues are polled where planned", placed, (SWITCH,)),
    Check("ovs", "polling threads poll more than pinned queues", isolated, (SWITCH,)),
    Check("ovs", "no polling thread is full", balanced, (SWITCH,)),
    Check("ovs", "guests' ports have a guest", connected, (SWITCH,)),
    Check("ovs", "packet buffers were not halved", buffers, (SWITCH,)),
)


def _not_isolated(switch: Switch) -> str:
    return f"{vsctl(switch)} set Open_vSwitch . other_config:pmd-rxq-isolate=false"


def _halved(switch: Switch, pool: Pool, expected: int) -> Finding:
    return error(
        f"Open vSwitch got half as many packet buffers as it asked for, or fewer (MTU up to {pool.mtu or 1500})",
        where=POOLS,
        found=f"{pool.size} in {pool.name}",
        expected=f"{expected}",
        remedy=f"{configuring(switch)} with more hugepages free: dpdk-socket-mem and the pages of its node",
        why=HALVED,
    )


def _empty(switch: Switch, pool: Pool) -> Finding:
    return warning(
        f"a pool of packet buffers is nearly empty (MTU up to {pool.mtu or 1500})",
        where=POOLS,
        found=f"{pool.free} of {pool.size} free in {pool.name}",
        expected=f"more than {FEW:.0%}",
        remedy=f"fewer descriptors (n_rxq_desc) or per-port-memory, then: {configuring(switch)}",
        why="a card that finds no free buffer drops what comes in",
    )
