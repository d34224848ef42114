"""Hugepages that a path needs in addition to the plan's."""

from __future__ import annotations

from ouchi.measure.request import BenchRequest
from ouchi.plan import Plan
from ouchi.plan.memory import EAL_MIB, SPARE_PORTS
from ouchi.plan.mempools import MTU, pool_bytes, port_mbufs, shared_mbufs
from ouchi.vnf.testpmd import MBUFS, mbuf_bytes
from ouchi.vnf.vm import memory_kib

GENERATOR_MIB = 192
"""Mbufs for two ports and for two streams of frames up to 1518 bytes, and DPDK's own memory."""
GENERATOR_JUMBO_MIB = 160
"""The mbufs again for larger frames: 3584 of each port, 4095 of each stream."""

_MBUF_OVERHEAD = 256
"""Bytes: struct rte_mbuf, the mempool's header, alignment."""


def extra_hugepages(plan: Plan, request: BenchRequest, page_kib: int) -> int:
    """Hugepages of ``page_kib`` for the generator, the guests, and the ports that OVS has no mbufs for yet.

    Each program has pages of its own.
    """
    if request.guest == "vm":
        guest = memory_kib(page_kib) // 1024
    else:
        guest = EAL_MIB + _mib(MBUFS * (mbuf_bytes(request.mtu) + _MBUF_OVERHEAD))
    generator = GENERATOR_MIB + (GENERATOR_JUMBO_MIB if request.mtu > MTU else 0)
    programs = [generator, *[guest] * len(request.path.guests), _switch_mib(plan, request)]
    return sum(-(-mib * 1024 // page_kib) for mib in programs)


def _switch_mib(plan: Plan, request: BenchRequest) -> int:
    """As OVS computes it; the plan has room for a few more ports with Ethernet's MTU."""
    if not request.path.through_ovs:
        return 0
    ports = len(request.path.ports) - (SPARE_PORTS if request.mtu <= MTU else 0)
    if plan.ovs_other_config.get("per-port-memory") == "true":
        return max(0, ports) * _mib(pool_bytes(port_mbufs(1, len(plan.pools.pmd)), request.mtu))
    return _mib(pool_bytes(shared_mbufs(request.mtu), request.mtu)) if request.mtu > MTU else 0


def _mib(number: int) -> int:
    return -(-number // (1024 * 1024))
