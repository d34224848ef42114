"""NICs with few queues: the limits of DPDK's drivers, which OVS applies without a message.

From ``max_rx_queues`` and ``max_tx_queues`` in the drivers' ``dev_infos_get``: ``r8169_ethdev.c`` of DPDK 24.11 (all
chips 1 and 1) and 25.11 (8126 and 8127: 4 and 2), ``em_ethdev.c``, ``igb_ethdev.c``, ``igc_ethdev.h``
(``IGC_QUEUE_PAIRS_NUM``), the same in 22.11 to 25.11.
"""

from __future__ import annotations

from dataclasses import dataclass

from ouchi.facts.dpdk.release import order


@dataclass(frozen=True, slots=True)
class Queues:
    """The greatest number of Rx and Tx queues; 0 where no limit is known."""

    receive: int
    transmit: int


_R8169_MULTIQUEUE = frozenset({"8126", "5000", "8127", "0e10"})  # 5000 is an 8126, 0e10 an 8127
_IGB = {
    **dict.fromkeys(("1521", "1522", "1523", "1524", "1546"), Queues(8, 8)),  # I350
    **dict.fromkeys(("1533", "1536", "1537", "1538", "157b", "157c"), Queues(4, 4)),  # I210
    "1539": Queues(2, 2),  # I211
}


def queues(pmd: str, device: str, release: str) -> Queues:
    """The most queues of a NIC (PCI device id, ``8168``) under a driver of a DPDK release (``25.11``)."""
    match pmd:
        case "net_r8169":
            many = device in _R8169_MULTIQUEUE and order(release) >= order("25.11")
            return Queues(4, 2) if many else Queues(1, 1)
        case "net_e1000_em":
            return Queues(1, 1)
        case "net_igc":
            return Queues(4, 4)
        case "net_e1000_igb":
            return _IGB.get(device, Queues(0, 0))
        case _:
            return Queues(0, 0)
