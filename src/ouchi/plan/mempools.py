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
    """Buffers of a NIC's own pool (``per-port-memory``); it has a Tx queue for each PMD thread and one more."""
    return queue_mbufs(rxqs, pmds + 1)


def queue_mbufs(rxqs: int, txqs: int, rx_descriptors: int = RING, tx_descriptors: int = RING) -> int:
    """Buffers of a port's own pool by its queues and their descriptors (dpdk_calculate_mbufs).

    A vhost-user port has the queues of its guest, and ``RING`` descriptors in this sum, however large its rings are.
    """
    return rxqs * rx_descriptors + txqs * tx_descriptors + min(MOST_LCORES, rxqs) * BURST + FEWEST_MBUFS


def halves(mbufs: int) -> list[int]:
    """What Open vSwitch requests where memory is short, one after the other: a half, a quarter, … (dpdk_mp_create).

    It gives up below ``FEWEST_MBUFS``: a pool of fewer than twice as many is never halved, its port has an error.
    """
    found = []
    while (mbufs := mbufs // 2) >= FEWEST_MBUFS:
        found.append(mbufs)
    return found


def pool_bytes(mbufs: int, mtu: int = MTU) -> int:
    """A whole pool: its buffers, its ring and its caches."""
    return mbufs * (mbuf_bytes(mtu) + _RING_ENTRY) + _PER_POOL
