"""How much memory a path takes in hugepages, on top of what the plan has set aside."""

from __future__ import annotations

from ouchi.measure.paths.open import Setup
from ouchi.plan import Plan
from ouchi.plan.memory import EAL_MIB, SPARE_PORTS
from ouchi.plan.mempools import MTU, pool_bytes, port_mbufs, shared_mbufs
from ouchi.vnf.testpmd import BUFFERS, buffer_bytes
from ouchi.vnf.vm import memory_kib

GENERATOR_MIB = 192
"""Its packet buffers for two ports and for two streams of frames up to 1518 bytes, and DPDK's own."""
GENERATOR_JUMBO_MIB = 160
"""The same buffers again for larger frames: 3584 of each port's, 4095 of each stream's."""

_MBUF = 256
"""Bytes of a buffer's own: struct rte_mbuf, the pool's header, alignment."""


def more_pages(plan: Plan, setup: Setup, page_kib: int) -> int:
    """Hugepages of a size for the generator, the guests, and the ports that OVS has no buffers for yet.

    Each program has pages of its own.
    """
    if setup.guest == "vm":
        guest = memory_kib(page_kib) // 1024
    else:
        guest = EAL_MIB + _mib(BUFFERS * (buffer_bytes(setup.mtu) + _MBUF))
    generator = GENERATOR_MIB + (GENERATOR_JUMBO_MIB if setup.mtu > MTU else 0)
    programs = [generator, *[guest] * len(setup.path.guests), _switch_mib(plan, setup)]
    return sum(-(-mib * 1024 // page_kib) for mib in programs)


def _switch_mib(plan: Plan, setup: Setup) -> int:
    """By OVS's own arithmetic. The plan has room for some more ports of the usual MTU."""
    if not setup.path.switched:
        return 0
    ports = len(setup.path.ports) - (SPARE_PORTS if setup.mtu <= MTU else 0)
    if plan.ovs_other_config.get("per-port-memory") == "true":
        return max(0, ports) * _mib(pool_bytes(port_mbufs(1, len(plan.pools.pmd)), setup.mtu))
    return _mib(pool_bytes(shared_mbufs(setup.mtu), setup.mtu)) if setup.mtu > MTU else 0


def _mib(number: int) -> int:
    return -(-number // (1024 * 1024))
