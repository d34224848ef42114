"""Hugepages reserved at run time, on top of those that were there."""

from __future__ import annotations

from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.steps import engine
from ouchi.steps.hugepages import counter, hugepages, reserved_at_boot
from ouchi.steps.journal import Journal

__all__ = ["RUN_TIME_KIB", "counter", "reserve", "undo"]

STEP = "hugepages"
RUN_TIME_KIB = 2048
"""Larger pages can be reserved at boot only: those that were reserved then are taken as they are."""


def reserve(
    machine: Machine, journal: Journal, node: int, size_kib: int, count: int, *, at_boot: bool = False
) -> Outcome:
    """Reserve ``count`` pages more than there were before ouchi.

    ``at_boot``: the kernel was started with the plan's hugepages (``ouchi apply``), so these are they. Raises
    :class:`~ouchi.core.errors.Failed` when the kernel does not find that much unfragmented memory.
    """
    change = hugepages(node, size_kib, count)
    record = journal.record(*change.location)
    if record is None and (at_boot or size_kib > RUN_TIME_KIB):
        state = engine.look(machine, [change.location])[change.location]
        if state["free"] >= count:
            record = reserved_at_boot(node, size_kib, state["pages"])
            journal.put([record])
    if record and record.after.get("at_boot"):
        return nothing(f"node {node}: pages of {size_kib} KiB were set aside at boot")
    if engine.make(journal, STEP, [change]):
        return changed(f"node {node}: {count} pages of {size_kib} KiB reserved")
    return nothing(f"node {node}: {count} pages of {size_kib} KiB are reserved")


def undo(_machine: Machine, journal: Journal) -> list[str]:
    """Give our pages back, as far as they are free. A count that others changed meanwhile keeps their change."""
    records = journal.records("hugepages")
    before = engine.look(journal.machine, [record.location for record in records])
    engine.undo(journal, records)
    after = engine.look(journal.machine, [record.location for record in records])
    return [
        f"node {key.partition(':')[0]}: {given} pages of {key.partition(':')[2]} KiB given back"
        for (kind, key), state in before.items()
        if (given := state["pages"] - after[kind, key]["pages"])
    ]
