"""The path ``loop``: a DPDK ring through which the generator receives what it sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RING_SIZE = 1024


class Loop:
    """A ring port; it needs nothing outside the generator."""

    name = ""
    ring_size = RING_SIZE

    def create(self) -> None:
        """Nothing to do: opening the port creates the ring."""

    def dpdk_device(self, end: str) -> str:
        return "net_ring0"

    def attach(self, end: str) -> None:
        """Nothing to do: a ring has no other end."""

    def forward(self) -> None:
        """Nothing to do."""

    def not_learnt(self) -> list[str]:
        return []

    def counters(self) -> Mapping[str, Any]:
        return {}

    def delta(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}

    def remove(self) -> None:
        """Nothing to do: the ring ends with the generator."""
