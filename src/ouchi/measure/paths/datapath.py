"""What a path kind implements: the part that forwards frames between the generator's ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Datapath(Protocol):
    """Forwards between the generator's ports.

    Call ``create`` first; then, for each port, open ``dpdk_device`` while ``attach`` connects its other end; then
    ``forward``. ``remove`` cleans up after any of them.
    """

    @property
    def name(self) -> str:
        """The key of its counters in a trial; empty where it has none."""

    @property
    def ring_size(self) -> int:
        """Frames that a port's RX ring holds while the generator's worker is interrupted."""

    def create(self) -> None:
        """Create it without ports, after removing what a killed run left."""

    def dpdk_device(self, end: str) -> str:
        """The DPDK device with which the generator, or a guest, opens a port."""

    def attach(self, end: str) -> None:
        """Connect a port that is open or being opened."""

    def forward(self) -> None:
        """Start forwarding."""

    def not_learnt(self) -> list[str]:
        """MAC addresses and flows that are not learnt yet."""

    def counters(self) -> Mapping[str, Any]:
        """All counters now."""

    def delta(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was counted between two readings."""

    def remove(self) -> None:
        """Remove it; does nothing when it does not exist."""


def subtract(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """The counters of each item in ``after``, less those in ``before``."""
    return {
        name: {key: value - before.get(name, {}).get(key, 0) for key, value in counters.items()}
        for name, counters in after.items()
    }
