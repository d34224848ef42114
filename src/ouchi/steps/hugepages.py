"""Hugepages reserved at run time, on top of those that were there."""

from __future__ import annotations

from ouchi.errors import Failed, error
from ouchi.journal import Journal
from ouchi.machine import Machine
from ouchi.steps import Outcome, changed, nothing

KIND = "hugepages"


def counter(node: int, size_kib: int) -> str:
    """The kernel's counter of a node's pages of a size."""
    return f"/sys/devices/system/node/node{node}/hugepages/hugepages-{size_kib}kB/nr_hugepages"


def reserve(machine: Machine, journal: Journal, node: int, size_kib: int, count: int) -> Outcome:
    """Reserve ``count`` pages more than there were before ouchi.

    Raises :class:`~ouchi.errors.Failed` when the kernel does not find that much unfragmented memory.
    """
    path = counter(node, size_kib)
    have = int(machine.read(path))
    before = int(journal.note(KIND, f"{node}:{size_kib}", {"before": have, "ours": count})["before"])
    target = before + count
    if have == target:
        return nothing(f"node {node}: {count} pages of {size_kib} KiB are reserved")
    journal.amend(KIND, f"{node}:{size_kib}", {"ours": count})
    for _attempt in range(3):
        machine.poke(path, str(target))
        if int(machine.read(path)) >= target:
            return changed(f"node {node}: {count} pages of {size_kib} KiB reserved")
        machine.poke("/proc/sys/vm/compact_memory", "1")
    found = int(machine.read(path))
    raise Failed(
        error(
            f"node {node} has no room for the hugepages of the plan",
            where=path,
            found=f"{found - before} pages of {size_kib} KiB could be reserved",
            expected=f"{count} pages ({count * size_kib // 1024} MiB) of unfragmented free memory",
            remedy="end programs that hold memory, or make guests smaller in ouchi.yaml, then: ouchi up",
        )
    )


def undo(machine: Machine, journal: Journal) -> list[str]:
    """Give our pages back. A count that somebody else changed meanwhile keeps their change."""
    done = []
    for key, record in journal.records(KIND).items():
        node, size = (int(word) for word in key.split(":"))
        path = counter(node, size)
        have = int(machine.read(path))
        before, ours = int(record["before"]), int(record["ours"])
        # Killed before the pages were reserved: the count is still what it was.
        machine.poke(path, str(have if have <= before else max(before, have - ours)))
        journal.forget(KIND, key)
        done.append(f"node {node}: {have - int(machine.read(path))} pages of {size} KiB given back")
    return done
