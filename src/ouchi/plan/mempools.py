"""The memory of OVS-DPDK's mempools, computed as OVS does.

Sources: ``lib/netdev-dpdk.c`` (dpdk_buf_size, dpdk_calculate_mbufs) and ``Documentation/topics/dpdk/memory.rst`` of
Open vSwitch. Sizes are in bytes unless they say otherwise.
"""

from __future__ import annotations

MTU = 1500
RING = 2048  # descriptors per queue, OVS's default
BURST = 32  # NETDEV_MAX_BURST
FEWEST_MBUFS = 16384  # MIN_NB_MBUF
SHARED_MBUFS = 262144  # MAX_NB_MBUF
MOST_LCORES = 128  # RTE_MAX_LCORE

_FRAME = 26  # Ethernet header, checksum and two VLAN tags
_ALIGN = 1024  # NETDEV_DPDK_MBUF_ALIGN
_HEADROOM = 128  # RTE_PKTMBUF_HEADROOM
_UNTAGGED = 18  # Ethernet header and checksum
_PACKET = 832  # struct dp_packet with its rte_mbuf, as in every example of memory.rst
_PER_POOL = 2 * 1024 * 1024  # a cache for each of 128 lcores
_RING_ENTRY = 16  # the pool's ring of pointers, rounded up to a power of two


def mbuf_bytes(mtu: int) -> int:
    """One packet buffer: 3008 bytes for MTU 1500."""
    return _data_bytes(mtu) + _PACKET


def shared_mbufs(mtu: int) -> int:
    """Buffers of the pool that all ports of one MTU and node share.

    What OVS compares with 1500 is not the port's MTU but the largest that fits its rounded buffer (dpdk_mp_get), so
    that an MTU of 1400 has the large pool too, other than memory.rst has it.
    """
    return SHARED_MBUFS if _data_bytes(mtu) - _UNTAGGED >= MTU else FEWEST_MBUFS


def _data_bytes(mtu: int) -> int:
    """The room for a packet in a buffer (dpdk_buf_size)."""
    return -(-(mtu + _FRAME) // _ALIGN) * _ALIGN + _HEADROOM


def port_mbufs(rxqs: int, pmds: int) -> int:
    """Buffers of a port's own pool (``per-port-memory``); it has a transmit queue for each PMD thread and one more."""
    return rxqs * RING + (pmds + 1) * RING + min(MOST_LCORES, rxqs) * BURST + FEWEST_MBUFS


def pool_bytes(mbufs: int, mtu: int = MTU) -> int:
    """A whole pool: its buffers, its ring and its caches."""
    return mbufs * (mbuf_bytes(mtu) + _RING_ENTRY) + _PER_POOL
