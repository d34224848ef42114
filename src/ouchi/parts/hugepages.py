"""Hugepages reserved at run time, on top of those that were there."""

from __future__ import annotations

from typing import Any

from ouchi.core.errors import Failed, error
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import PLAN, Part, PartState, missing, present
from ouchi.plan.values import HugepageNeed
from ouchi.steps.journal import Journal

KIND = "hugepages"
RUN_TIME_KIB = 2048
"""Larger pages are to be had at boot only: those that were set aside then are taken as they are."""


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
    path, key = counter(need.node, need.size_kib), f"{need.node}:{need.size_kib}"
    record = journal.records(KIND).get(key)
    if record is None:
        return (at_boot or need.size_kib > RUN_TIME_KIB) and _count(machine, _free(path)) >= need.count
    if record.get("set aside"):
        return True
    done = record["reserved"] and record["ours"] == need.count and record.get("others") is None
    return bool(done) and _count(machine, path) >= need.count


def _paths(need: HugepageNeed) -> tuple[str, str]:
    path = counter(need.node, need.size_kib)
    return path, _free(path)


def _count(machine: Machine, path: str) -> int:
    return int(machine.read(path)) if machine.exists(path) else 0


def _text(need: HugepageNeed) -> str:
    return f"{need.count} pages of {need.size_kib} KiB on node {need.node}"


def counter(node: int, size_kib: int) -> str:
    """The kernel's counter of a node's pages of a size."""
    return f"/sys/devices/system/node/node{node}/hugepages/hugepages-{size_kib}kB/nr_hugepages"


def reserve(
    machine: Machine, journal: Journal, node: int, size_kib: int, count: int, *, at_boot: bool = False
) -> Outcome:
    """Reserve ``count`` pages more than there were before ouchi.

    ``at_boot``: the kernel was started with the plan's hugepages (``ouchi apply``), so these are they. Raises :class:`~ouchi.core.errors.Failed` when the kernel does not find that much unfragmented memory.
    """
    path, key = counter(node, size_kib), f"{node}:{size_kib}"
    have = int(machine.read(path))
    fresh: dict[str, Any] = {"before": have, "ours": count, "reserved": False}
    if (at_boot or size_kib > RUN_TIME_KIB) and int(machine.read(_free(path))) >= count:
        fresh = {"before": have, "ours": 0, "reserved": True, "set aside": True}
    record = _settled(machine, journal, key, journal.note(KIND, key, fresh))
    if record.get("set aside"):
        return nothing(f"node {node}: pages of {size_kib} KiB were set aside at boot")
    # Somebody else may have changed the count since; what counts is that ours are among them.
    more = max(have + count - int(record["ours"]), count)
    target = more if record["reserved"] else int(record["before"]) + count
    if have == target and record["reserved"]:
        return nothing(f"node {node}: {count} pages of {size_kib} KiB are reserved")
    # Killed from here on, the next one sees by the pages of others how many of them are ours.
    journal.amend(KIND, key, {"others": target - count})
    for _attempt in range(3):
        machine.poke(path, str(target))
        if int(machine.read(path)) >= target:
            journal.amend(KIND, key, {"ours": count, "reserved": True, "others": None})
            return changed(f"node {node}: {count} pages of {size_kib} KiB reserved")
        machine.poke("/proc/sys/vm/compact_memory", "1")
    found = int(machine.read(path))
    machine.poke(path, str(have))
    _settled(machine, journal, key, journal.records(KIND)[key])
    raise Failed(
        error(
            f"node {node} has no room for the hugepages of the plan",
            where=path,
            found=f"{max(0, found - target + count)} pages of {size_kib} KiB could be reserved",
            expected=f"{count} pages ({count * size_kib // 1024} MiB) of unfragmented free memory",
            remedy="end programs that hold memory, or make guests smaller in ouchi.yaml, then: ouchi up",
        )
    )


def _free(path: str) -> str:
    return path.replace("nr_hugepages", "free_hugepages")


def _settled(machine: Machine, journal: Journal, key: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record of a reservation, put right where it was being changed when somebody was killed."""
    if record.get("others") is None:
        return record
    node, size = (int(word) for word in key.split(":"))
    ours = max(0, int(machine.read(counter(node, size))) - int(record["others"]))
    put_right = {"ours": ours, "reserved": True, "others": None}
    journal.amend(KIND, key, put_right)
    return record | put_right


def undo(machine: Machine, journal: Journal) -> list[str]:
    """Give our pages back, as far as they are free. A count that somebody else changed meanwhile keeps their change."""
    done = []
    for key, record in journal.records(KIND).items():
        node, size = (int(word) for word in key.split(":"))
        path = counter(node, size)
        record = _settled(machine, journal, key, record)
        have, before, ours = int(machine.read(path)), int(record["before"]), int(record["ours"])
        if record["reserved"]:
            free = int(machine.read(_free(path)))
            machine.poke(path, str(have - min(ours, free)))
        elif have > before:  # killed while they were being reserved
            machine.poke(path, str(max(before, have - ours)))
        journal.forget(KIND, key)
        if given := have - int(machine.read(path)):
            done.append(f"node {node}: {given} pages of {size} KiB given back")
    return done


PARTS = (Hugepages(),)
