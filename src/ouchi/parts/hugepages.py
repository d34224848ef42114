"""Hugepages reserved at run time, on top of those that were there."""

from __future__ import annotations

from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present
from ouchi.plan.values import HugepageNeed
from ouchi.steps import engine
from ouchi.steps.hugepages import RUN_TIME_KIB, hugepages, reserved_at_boot
from ouchi.steps.journal import Journal

STEP = "hugepages"


class Hugepages(Part):
    name = "hugepages"
    stage = "host"

    def look(self, at: Context) -> PartState:
        needs = at.target.plan.hugepages
        found = "; ".join(_found(at.machine, need) for need in needs)
        if short := [need for need in needs if not reserved(at.journal, need, at_boot=set_aside(at))]:
            texts = [f"{need.count} pages of {need.size_kib} KiB on node {need.node}" for need in short]
            return missing(f"reserve {'; '.join(texts)}", found, "too few")
        return present(found, "reserved")

    def make(self, at: Context, notify: Notify) -> Outcome:
        done = [
            reserve(at.journal, need.node, need.size_kib, need.count, at_boot=set_aside(at))
            for need in at.target.plan.hugepages
        ]
        return Outcome("; ".join(outcome.text for outcome in done), any(outcome.changed for outcome in done))

    def remove(self, at: Context) -> Outcome:
        done = undo(at.journal)
        return changed("; ".join(done)) if done else nothing("none of ours")


def set_aside(at: Context) -> bool:
    """Return whether the plan's hugepages were reserved at boot."""
    parameters = at.target.plan.kernel_args
    pages = {parameter for parameter in parameters if parameter.startswith(("default_hugepagesz=", "hugepage"))}
    return pages <= set(at.target.facts.boot.parameters)


def reserved(journal: Journal, need: HugepageNeed, *, at_boot: bool) -> bool:
    """Return whether :func:`reserve` would have nothing to do."""
    change = hugepages(need.node, need.size_kib, need.count)
    record = engine.current_record(journal, change.location)
    if record is None and (at_boot or need.size_kib > RUN_TIME_KIB):
        state = engine.look(journal.machine, [change.location])[change.location]
        return bool(state and state["free"] >= need.count)
    if record and record.after.get("at_boot"):
        return True
    return not engine.preview(journal, [change])


def _found(machine: Machine, need: HugepageNeed) -> str:
    location = hugepages(need.node, need.size_kib, need.count).location
    state = engine.look(machine, [location])[location] or {"pages": 0, "free": 0}
    size = need.size_kib // 1024
    return f"node {need.node}: {state['pages']} of {size} MiB, {state['free']} free; {need.count} planned"


def reserve(journal: Journal, node: int, size_kib: int, count: int, *, at_boot: bool = False) -> Outcome:
    """Reserve ``count`` pages more than there were before ouchi.

    ``at_boot``: the kernel was started with the plan's hugepages (``ouchi apply``), so these are they. Raises
    :class:`~ouchi.core.errors.Failed` when the kernel does not find that much unfragmented memory.
    """
    change = hugepages(node, size_kib, count)
    record = engine.current_record(journal, change.location)
    if record is None and (at_boot or size_kib > RUN_TIME_KIB):
        state = engine.look(journal.machine, [change.location])[change.location]
        if state["free"] >= count:
            boot_id = journal.machine.read(engine.BOOT_ID).strip()
            record = reserved_at_boot(node, size_kib, state["pages"], boot_id)
            journal.put([record])
    if record and record.after.get("at_boot"):
        return nothing(f"node {node}: pages of {size_kib} KiB were set aside at boot")
    if engine.make(journal, STEP, [change]):
        return changed(f"node {node}: {count} pages of {size_kib} KiB reserved")
    return nothing(f"node {node}: {count} pages of {size_kib} KiB are reserved")


def undo(journal: Journal) -> list[str]:
    """Release our pages, as far as they are free. Changes of the count by other programs are kept."""
    records = [record for record in engine.current(journal) if record.kind == STEP]
    before = engine.look(journal.machine, [record.location for record in records])
    engine.undo(journal, records)
    for record in journal.records(STEP):  # the kernel has rebooted since
        journal.forget(*record.location)
    after = engine.look(journal.machine, [record.location for record in records])
    return [
        f"node {key.partition(':')[0]}: {given} pages of {key.partition(':')[2]} KiB given back"
        for (kind, key), state in before.items()
        if (given := state["pages"] - after[kind, key]["pages"])
    ]


PARTS = (Hugepages(),)
