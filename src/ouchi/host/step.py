"""A step: changes that belong together, why, and when they can be made."""

from __future__ import annotations

from dataclasses import dataclass

from ouchi.steps import Change


@dataclass(frozen=True, slots=True)
class Step:
    """One line of what ``apply`` does.

    ``booted``: made only when the kernel runs with the planned parameters, because what the step needs (the IOMMU,
    hugepages) does not exist before. ``cuts``: it may cut the host off the network, so it is made under commit-confirm
    (:mod:`ouchi.host.commit_confirm`).
    """

    name: str
    why: str
    changes: tuple[Change, ...]
    booted: bool = False
    cuts: bool = False
