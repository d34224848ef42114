"""A step: changes that belong together, why, and when they can be made."""

from __future__ import annotations

from dataclasses import dataclass

from ouchi.steps import Change


@dataclass(frozen=True, slots=True)
class Step:
    """One line of what ``apply`` does.

    ``booted``: only when the kernel was started with the plan's words, because what the step needs (the IOMMU,
    hugepages) is not there before. ``cuts``: it takes something from the network, so it is watched
    (:mod:`ouchi.host.guard`).
    """

    name: str
    why: str
    changes: tuple[Change, ...]
    booted: bool = False
    cuts: bool = False
