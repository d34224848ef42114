"""Hugepages reserved at run time, on top of those that were there."""

from __future__ import annotations

from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import PLAN, Part, PartState, missing, present
from ouchi.plan.values import HugepageNeed
from ouchi.steps import engine
from ouchi.steps.hugepages import RUN_TIME_KIB, counter, free_counter, hugepages, ours, reserved_at_boot
from ouchi.steps.journal import Journal

STEP = "hugepages"


class Hugepages(Part):
    name = "hugepages"
    stage = "host"
    needs = (PLAN,)

    def look(self, at: Context) -> PartState:
        needs, pools = at.target.plan.hugepages, []
        short = [need for need in needs if not reserved(at.machine, at.journal, need, at_boot=set_aside(at))]
        for need in needs:
            have, free = (_count(at.machine, path) for path in _paths(need))
            pools.append(f"node {need.node}: {have} of {need.size_kib // 1024} MiB, {free} free; {need.count} planned")
        if short:
            return missing("reserve " + "; ".join(map(_text, short)), "; ".join(pools), "too few")
        return present("; ".join(pools), "reserved")

    def make(self, at: Context, notify: Notify) -> Outcome:
        done = [
            reserve(at.machine, at.journal, need.node, need.size_kib, need.count, at_boot=set_aside(at))
            for need in at.target.plan.hugepages
        ]
        return Outcome("; ".join(outcome.text for outcome in done), any(outcome.changed for outcome in done))

    def remove(self, at: Context) -> Outcome:
        done = undo(at.machine, at.journal)
        return changed("; ".join(done)) if done else nothing("none of ours")


def set_aside(at: Context) -> bool:
    """Whether the kernel was started with the plan's hugepages."""
    parameters = at.target.plan.kernel_args
    pages = {parameter for parameter in parameters if parameter.startswith(("default_hugepagesz=", "hugepage"))}
    return pages <= set(at.target.facts.boot.parameters)


def reserved(machine: Machine, journal: Journal, need: HugepageNeed, *, at_boot: bool) -> bool:
    """Whether :func:`reserve` would have nothing to do."""
    have, free = (_count(machine, path) for path in _paths(need))
    record = journal.record(*hugepages(need.node, need.size_kib, need.count).location)
    if record is None:
        return (at_boot or need.size_kib > RUN_TIME_KIB) and free >= need.count
    if record.after.get("at_boot"):
        return True
    return not record.in_progress and ours(record, have) == need.count <= have


def _paths(need: HugepageNeed) -> tuple[str, str]:
    return counter(need.node, need.size_kib), free_counter(need.node, need.size_kib)


def _count(machine: Machine, path: str) -> int:
    return int(machine.read(path)) if machine.exists(path) else 0


def _text(need: HugepageNeed) -> str:
    return f"{need.count} pages of {need.size_kib} KiB on node {need.node}"


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


PARTS = (Hugepages(),)
