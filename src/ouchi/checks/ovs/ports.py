"""Bridges and ports of Open vSwitch, and the mempools behind them."""

from __future__ import annotations

from ouchi.checks.model import Level, Observation, Seen, check, judge, ok
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import LOGS, UP, configuring, vsctl
from ouchi.core.errors import Finding, error, warning
from ouchi.live.host import SWITCH, Live
from ouchi.live.ovs import OURS, Mempool, Switch
from ouchi.plan.mempools import FEWEST_MBUFS, MTU, SHARED_MBUFS, port_mbufs
from ouchi.plan.target import Target
from ouchi.plan.values import counted

MEMPOOLS = "ovs-appctl netdev-dpdk/get-mempool-info"

FEW = 0.05
"""The share of free mbufs in a mempool below which it is nearly empty."""


@check("ovs.bridges", Level.RUNNING, "bridges are in the userspace datapath", SWITCH)
@answered("tables")
def bridges(live: Live, target: Target) -> Observation | None:
    """Look at each bridge's ``datapath_type``; patch ports join only bridges of one datapath."""
    switch = live.switch
    needed = ("br-int", *target.bridges.values())
    # No plan of ouchi's makes bridges in the distribution's Open vSwitch, so none is missing there.
    absent = [name for name in needed if name not in switch.bridges] if switch.whose == OURS else []
    in_kernel = {
        name: kind
        for name, kind in switch.bridges.items()
        if kind != "netdev" and (switch.whose == OURS or name in needed)
    }
    problems = [
        error(
            f"the bridge {name} is not in the userspace datapath",
            where=f"ovs-vsctl get Bridge {name} datapath_type",
            found=kind or "system",
            expected="netdev",
            remedy=UP if switch.whose == OURS else f"{vsctl(switch)} set Bridge {name} datapath_type=netdev",
            why="its packets leave the PMD threads for the kernel, or are dropped where a patch port cannot join the two",
        )
        for name, kind in in_kernel.items()
    ]
    if absent:
        problems.append(
            error(
                f"bridges are missing: {', '.join(absent)}",
                where="ovs-vsctl list-br",
                found=", ".join(switch.bridges) or "no bridge",
                expected=", ".join(needed),
                remedy=UP,
                why="packets of their networks are not forwarded",
            )
        )
    return judge(problems, ", ".join(switch.bridges))


@check("ovs.ports", Level.RUNNING, "every port was created and has a link", SWITCH)
@answered("tables")
def ports(live: Live, _target: Target) -> Observation | None:
    """Look for ports that ovs-vswitchd could not create, and DPDK ports without a link."""
    switch = live.switch
    problems = [
        error(
            f"Open vSwitch could not create the port {port.name}",
            where=f"ovs-vsctl get Interface {port.name} error",
            found=port.error,
            expected="no error",
            remedy=LOGS if switch.whose == OURS else "journalctl -u ovs-vswitchd",
            why="the port is in the database and nowhere else: what is sent to it is lost",
        )
        for port in switch.ports
        if port.error
    ]
    problems += [
        warning(
            f"the NIC of the port {port.name} has no link",
            where=f"ovs-vsctl get Interface {port.name} link_state",
            found=port.link,
            expected="up",
            remedy="check the cable and the other end",
            why="nothing is sent or received there",
        )
        for port in switch.ports
        if port.kind == "dpdk" and not port.error and port.link == "down"
    ]
    return judge(problems, counted(len(switch.ports), "port"))


@check("ovs.guest-connections", Level.LOSS, "a guest is connected to every vhost-user port", SWITCH)
@answered("tables")
def guest_connections(live: Live, _target: Target) -> Seen | None:
    """Look for disconnected vhost-user ports whose socket has no connection either.

    The database can still have ``disconnected`` for a guest that connected while the port was being created.
    """
    guests = [port for port in live.switch.ports if port.kind.startswith("dpdkvhostuser") and not port.error]
    if not guests:
        return None
    disconnected = [
        port.name
        for port in guests
        if port.status.get("status") == "disconnected"
        and port.options.get("vhost-server-path") not in live.switch.connected
    ]
    if not disconnected:
        return ok(counted(len(guests), "port"))
    return warning(
        f"no guest is connected to the ports {', '.join(disconnected[:8])}",
        where="ovs-vsctl get Interface PORT status",
        found="status=disconnected",
        expected="a guest whose driver has enabled its Rx queues",
        remedy=f"start the guest, or: {UP}" if live.switch.whose == OURS else "start the guest, or remove the port",
        why="a disconnected vhost-user port is a black hole: what is sent to it is lost, and no counter of OVS shows "
        "it",
    )


@check("ovs.mempools", Level.LOSS, "mempools have their full number of mbufs", SWITCH)
@answered("tables", "mempools", daemon=True)
def mempools(live: Live, target: Target) -> Observation | None:
    """Compare each mempool with the number of mbufs that Open vSwitch requests for its ports."""
    pools = live.switch.mempools
    if not pools:
        return ok("no mempool yet: no port needs one")
    per_port = live.switch.other_config.get("per-port-memory") == "true"
    problems = []
    for pool in pools:
        shared = SHARED_MBUFS if not pool.mtu or pool.mtu >= MTU else FEWEST_MBUFS  # as dpdk_mp_create compares it
        expected = port_mbufs(1, len(target.plan.pools.pmd)) if per_port else shared
        # OVS halves; a mempool that is a little smaller has other reasons, such as fewer descriptors.
        if pool.size <= (expected + 1) // 2:
            problems.append(_halved(live.switch, pool, expected))
        elif pool.free < pool.size * FEW:
            problems.append(_empty(live.switch, pool))
    return judge(problems, f"{counted(len(pools), 'mempool')}, {sum(pool.size for pool in pools)} mbufs")


def _halved(switch: Switch, pool: Mempool, expected: int) -> Finding:
    return error(
        f"a mempool has half as many mbufs as Open vSwitch requested, or fewer (MTU up to {pool.mtu or 1500})",
        where=MEMPOOLS,
        found=f"{pool.size} in {pool.name}",
        expected=f"{expected}",
        remedy=f"{configuring(switch)} with more free hugepages: dpdk-socket-mem and the hugepages of its NUMA node",
        why="where memory is short OVS allocates half as many mbufs without an error: under load NICs find none free "
        "and drop (rx_nombuf)",
    )


def _empty(switch: Switch, pool: Mempool) -> Finding:
    return warning(
        f"a mempool is nearly empty (MTU up to {pool.mtu or 1500})",
        where=MEMPOOLS,
        found=f"{pool.free} of {pool.size} free in {pool.name}",
        expected=f"more than {FEW:.0%}",
        remedy=f"fewer descriptors (n_rxq_desc) or per-port-memory, then: {configuring(switch)}",
        why="a NIC that finds no free mbuf drops what it receives",
    )
