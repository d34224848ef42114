"""Every check of a live host, and their evaluation."""

from __future__ import annotations

from collections.abc import Collection
from types import ModuleType

from ouchi.checks import cpus, guests, interrupts, kernel, memory, nics, versions, wire
from ouchi.checks.model import Check, CheckResult, Evaluate, Level, unknown
from ouchi.checks.ovs import daemon, drops, mempools, pmd, ports, queues, settings, vhost
from ouchi.live.host import Live
from ouchi.plan.target import Target

ALL = tuple(Level)

_MODULES: tuple[ModuleType, ...] = (
    kernel,
    memory,
    cpus,
    interrupts,
    daemon,
    settings,
    ports,
    vhost,
    mempools,
    pmd,
    queues,
    drops,
    guests,
    nics,
    versions,
    wire,
)
"""From the kernel up to the NICs: the order in which results are shown."""

CHECKS: tuple[Check[Evaluate], ...] = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Check)
)
"""All but those of :mod:`~ouchi.checks.servers` and :mod:`~ouchi.checks.traffic`, which only the end of ``up`` makes."""


def evaluate(live: Live, target: Target, levels: Collection[Level] = ALL) -> tuple[CheckResult, ...]:
    """Evaluate the checks of ``levels``; those that do not apply to the host are left out.

    A check whose reading failed is ``unknown``, with the reason.
    """
    results = []
    for check in CHECKS:
        if check.level not in levels:
            continue
        failed = next((reading for reading in check.needs if reading in live.missing), "")
        seen = unknown(live.missing[failed]) if failed else check.evaluate(live, target)
        if seen is not None:
            results.append(check.result(seen))
    return tuple(results)


def needed(levels: Collection[Level] = ALL) -> tuple[str, ...]:
    """Return the readings of a host that the checks of ``levels`` need."""
    return tuple(dict.fromkeys(reading for check in CHECKS if check.level in levels for reading in check.needs))
