"""What a path kind implements: the part that forwards frames between the generator's ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Datapath:
    """Forwards between the generator's ports.

    Call ``create`` first; then, for each port, open ``dpdk_device`` while ``attach`` connects its other end; then
    ``forward``. ``remove`` cleans up after any of them. A kind defines those that it needs.
    """

    __slots__ = ()

    name: ClassVar[str] = ""
    """The key of its counters in a trial; empty where it has none."""
    ring_size: ClassVar[int]
    """Frames that a port's RX ring holds while the generator's worker is interrupted."""

    def create(self) -> None:
        """Create it without ports, after removing what a killed run left."""

    def dpdk_device(self, end: str) -> str:
        """The DPDK device with which the generator, or a guest, opens a port."""
        raise NotImplementedError

    def attach(self, end: str) -> None:
        """Connect a port that is open or being opened."""

    def forward(self) -> None:
        """Start forwarding."""

    def not_learnt(self) -> list[str]:
        """MAC addresses and flows that are not learnt yet."""
        return []

    def counters(self) -> Mapping[str, Any]:
        """All counters now."""
        return {}

    def delta(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was counted between two readings."""
        return subtract(before, after)

    def remove(self) -> None:
        """Remove it; does nothing when it does not exist."""


class Loop(Datapath):
    """The path ``loop``: a DPDK ring through which the generator receives what it sends, and that ends with it."""

    ring_size = 1024

    def dpdk_device(self, end: str) -> str:
        return "net_ring0"


def subtract(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """The counters of each item in ``after``, less those in ``before``."""
    return {
        name: {key: value - before.get(name, {}).get(key, 0) for key, value in counters.items()}
        for name, counters in after.items()
    }
