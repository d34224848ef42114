"""Mempools of Open vSwitch: with as many mbufs as it requests for its ports, and some of them free."""

from __future__ import annotations

from collections import Counter

from ouchi.checks.model import Level, Observation, check, judge, ok
from ouchi.checks.ovs.answers import answered
from ouchi.checks.remedies import configuring, vsctl
from ouchi.core.errors import Finding, error, warning
from ouchi.facts.reading import whole
from ouchi.live.counters import PortCounters
from ouchi.live.host import MACHINE, SAMPLES, SWITCH, Live
from ouchi.live.ovs import Mempool, OvsPort, Switch
from ouchi.plan.mempools import FEWEST_MBUFS, MTU, RING, SHARED_MBUFS, halves, queue_mbufs
from ouchi.plan.target import Target
from ouchi.plan.values import counted

SHOW = "ovs-appctl netdev-dpdk/get-mempool-info"

FEW = 0.05
"""The share of free mbufs in a mempool below which it is nearly empty."""


@check("ovs.mempools", Level.LOSS, "mempools have their full number of mbufs", SWITCH, MACHINE, SAMPLES)
@answered("tables", "mempools", "datapath", daemon=True)
def mempools(live: Live, _target: Target) -> Observation | None:
    """Compare each mempool with the number of mbufs that Open vSwitch requests for its ports."""
    switch = live.switch
    if not switch.mempools:
        return ok("no mempool yet: no port needs one")
    halved = _halved_of_ports(live) if switch.other_config.get("per-port-memory") == "true" else _halved_shared(switch)
    problems = [_halved(switch, pool, expected) for pool, expected in halved]
    names = {pool.name for pool, _ in halved}
    problems += [
        _empty(switch, pool) for pool in switch.mempools if pool.name not in names and pool.free < pool.size * FEW
    ]
    return judge(
        problems, f"{counted(len(switch.mempools), 'mempool')}, {sum(pool.size for pool in switch.mempools)} mbufs"
    )


def _halved_shared(switch: Switch) -> list[tuple[Mempool, int]]:
    """Return mempools that ports share and that were halved, with their full number, as dpdk_mp_create has it."""
    full = {pool: SHARED_MBUFS if not pool.mtu or pool.mtu >= MTU else FEWEST_MBUFS for pool in switch.mempools}
    return [(pool, expected) for pool, expected in full.items() if pool.size in halves(expected)]


def _halved_of_ports(live: Live) -> list[tuple[Mempool, int]]:
    """Return the halved mempools of single ports, with their full number.

    The name of a mempool has a hash of its port's, so pools and ports are matched by their numbers: a pool that is no
    port's full one and a half, or a quarter, of one that is missing.
    """
    ports = [(live.counters.after.get(port.name), port) for port in live.switch.ports if port.polled]
    missing = Counter(port_pool(counters, port) for counters, port in ports if counters and counters.statistics)
    others = []
    for pool in live.switch.mempools:
        if missing[pool.size] > 0:
            missing[pool.size] -= 1
        else:
            others.append(pool)
    return [
        (pool, expected)
        for pool in others
        for expected, count in missing.items()
        if count > 0 and pool.size in halves(expected)
    ]


def port_pool(counters: PortCounters, port: OvsPort) -> int:
    """Return the mbufs that Open vSwitch requests for a port's own pool, by its queues and descriptors.

    Until OVS 3.2 the datapath's configuration has the queues; since 3.3 the interface's status has them.
    """

    def number(*keys: str) -> int:
        return max(whole(counters.configuration.get(key, ""), 0) for key in keys)

    return queue_mbufs(
        number("requested_rx_queues", "configured_rx_queues") or whole(port.status.get("n_rxq", ""), 1),
        number("requested_tx_queues", "configured_tx_queues") or whole(port.status.get("n_txq", ""), 1),
        number("requested_rxq_descriptors", "configured_rxq_descriptors", "n_rxq_desc") or RING,
        number("requested_txq_descriptors", "configured_txq_descriptors", "n_txq_desc") or RING,
    )


def _halved(switch: Switch, pool: Mempool, expected: int) -> Finding:
    limit = switch.other_config.get("dpdk-socket-limit")
    return error(
        f"a mempool has half as many mbufs as Open vSwitch requested, or fewer (MTU up to {pool.mtu or 1500})",
        where=SHOW,
        found=f"{pool.size} in {pool.name}" + (f"; dpdk-socket-limit={limit}" if limit else ""),
        expected=f"{expected}",
        remedy=f"{vsctl(switch)} remove Open_vSwitch . other_config dpdk-socket-limit, then restart ovs-vswitchd"
        if limit
        else f"{configuring(switch)} with more free hugepages on its NUMA node, then restart ovs-vswitchd",
        why="DPDK may take all free hugepages of the node, up to dpdk-socket-limit: where they do not suffice, OVS requests "
        "half as many mbufs, and logs it at debug level only; under load NICs find none free and drop (rx_nombuf)",
    )


def _empty(switch: Switch, pool: Mempool) -> Finding:
    return warning(
        f"a mempool is nearly empty (MTU up to {pool.mtu or 1500})",
        where=SHOW,
        found=f"{pool.free} of {pool.size} free in {pool.name}",
        expected=f"more than {FEW:.0%}",
        remedy=f"fewer descriptors (n_rxq_desc) or per-port-memory, then: {configuring(switch)}",
        why="a NIC that finds no free mbuf drops what it receives",
    )
