"""Hugepages of a NUMA node reserved at run time, on top of those of others.

A key is ``NODE:KIB``, as in ``0:2048``. The state has ``pages``, the node's pages of that size, and when read ``free``.
In a record ``before`` are the pages of others and ``after`` those and ouchi's; when it is in progress, all beyond
``before`` are ouchi's. So ouchi's are known whenever it is killed, and others may change the count meanwhile. ``at_boot``:
the pages were reserved by the kernel's parameters, and none is ouchi's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ouchi.core.errors import Failed
from ouchi.machine import Machine
from ouchi.steps import Change, Kind, Record, State

ROOT = "/sys/devices/system/node"
COMPACT = "/proc/sys/vm/compact_memory"
TRIES = 3
RUN_TIME_KIB = 2048
"""Larger pages can be reserved at boot only: those that were reserved then are taken as they are."""


def hugepages(node: int, size_kib: int, count: int) -> Change:
    """``count`` pages of a size are reserved for ouchi on a node."""
    return Change("hugepages", f"{node}:{size_kib}", {"ours": count})


def counter(node: int, size_kib: int, which: str = "nr") -> str:
    """The kernel's counter of a node's pages of a size; ``free``: of those that no program uses."""
    return f"{ROOT}/node{node}/hugepages/hugepages-{size_kib}kB/{which}_hugepages"


class HugepagesKind(Kind):
    """The number of pages of one size on a node."""

    name = "hugepages"
    drifts = False

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        return {
            key: {
                "pages": int(machine.read(counter(*_numbers(key)))),
                "free": int(machine.read(counter(*_numbers(key), "free"))),
            }
            for key in keys
        }

    def plan(self, change: Change, now: State, record: Record | None) -> tuple[State, State]:
        """Ouchi's pages are among those that there are, so others may have given some of theirs back.

        Pages that are in use cannot be given back: those beyond the target stay ouchi's.
        """
        have = now["pages"]
        others = max(0, have - (ours(record, have) if record else 0))
        return {"pages": others}, {"pages": max(others + change.state["ours"], have - now["free"])}

    def holds(self, target: State, now: State) -> bool:
        """A program may have taken pages into use that were to be given back."""
        return bool(now["pages"] >= target["pages"])

    def current(self, record: Record, now: State) -> Record:
        """Pages that are in use cannot be given back."""
        have = now["pages"]
        return replace(record, before={"pages": have - min(ours(record, have), now["free"])}, after={"pages": have})

    def put(self, machine: Machine, key: str, state: State) -> None:
        """Reserve pages. Raises :class:`~ouchi.core.errors.Failed` when there is not that much unfragmented memory."""
        node, size = _numbers(key)
        path, pages = counter(node, size), state["pages"]
        have = machine.read(path).strip()
        for _ in range(TRIES):
            machine.poke(path, str(pages))
            found = int(machine.read(path))
            if found >= pages:
                return
            machine.poke(COMPACT, "1")
        machine.poke(path, have)
        raise Failed.of(
            f"node {node} has no room for the hugepages of the plan",
            where=path,
            found=f"{found} pages of {size} KiB could be reserved, with those of others",
            expected=f"{pages} pages: {(pages - found) * size // 1024} MiB more of unfragmented free memory",
            remedy="end programs that hold memory, or make guests smaller in ouchi.yaml, then: ouchi up",
        )

    def describe(self, _key: str, state: State) -> list[str]:
        if state is None:
            return []
        return [f"{state['ours']} pages of ouchi" if "ours" in state else f"{state['pages']} pages"]


def reserved_at_boot(node: int, size_kib: int, have: int) -> Record:
    """The record of pages that the kernel reserved when it started."""
    return Record("hugepages", "hugepages", f"{node}:{size_kib}", {"pages": have}, {"pages": have, "at_boot": True})


def ours(record: Record, have: int) -> int:
    """Return how many of ``have`` pages are ouchi's."""
    after = have if record.in_progress else record.after["pages"]
    return max(0, int(after) - int(record.before["pages"]))


def _numbers(key: str) -> tuple[int, int]:
    node, size = key.split(":")
    return int(node), int(size)
