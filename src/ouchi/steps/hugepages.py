"""Hugepages of a NUMA node reserved at run time, on top of those of others.

A key is ``NODE:KIB``, as in ``0:2048``. The state has ``pages``, the node's pages of that size, and when read ``free``.
In a record ``before`` are the pages of others and ``after`` those and ouchi's; ``at_boot``: the pages were reserved by the
kernel's parameters, and none is ouchi's. ``from`` in ``before`` is the count at which the change began: while it is in
progress, ouchi's pages are known where the count is that one or the target, else only those that ouchi has in both
cases are its own. So one that was killed never takes pages away that other programs have reserved since; at worst it
leaves some. A reboot ends all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ouchi.core.errors import Failed
from ouchi.machine import Machine
from ouchi.steps import SECONDS, Change, Kind, Lasts, Record, State

ROOT = "/sys/devices/system/node"
COMPACT = "/proc/sys/vm/compact_memory"
SET = 'printf %s "$1" >"$2"'
TRIES = 3
RUN_TIME_KIB = 2048
"""Larger pages can be reserved at boot only: those that were reserved then are taken as they are."""


def hugepages(node: int, size_kib: int, count: int) -> Change:
    """``count`` pages of a size are reserved for ouchi on a node."""
    return Change("hugepages", f"{node}:{size_kib}", {"ours": count}, lasts=Lasts.REBOOT)


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
        return {"pages": others, "from": have}, {"pages": max(others + change.state["ours"], have - now["free"])}

    def holds(self, target: State, now: State) -> bool:
        """A program may have taken pages into use that were to be given back."""
        return bool(now["pages"] >= target["pages"])

    def current(self, record: Record, now: State) -> Record:
        """Pages that are in use cannot be given back."""
        have = now["pages"]
        others = {"pages": have - min(ours(record, have), now["free"])}
        return replace(record, before=others | {"from": have}, after=others)

    def put(self, machine: Machine, key: str, state: State) -> None:
        """Reserve pages. Raises :class:`~ouchi.core.errors.Failed` when there is not that much unfragmented memory."""
        node, size = _numbers(key)
        path, pages = counter(node, size), state["pages"]
        have = found = int(machine.read(path))
        if have == pages:
            return
        for _ in range(TRIES):
            try:
                # By a process that survives ouchi's end: a signal in the midst of it would leave a count that nobody knows.
                machine.run(("sh", "-ceu", SET, "sh", str(pages), path), timeout=SECONDS, outlive=True)
                found = int(machine.read(path))
            except BaseException:
                machine.poke(path, str(have))
                raise
            if found >= pages:
                return
            machine.poke(path, str(have))
            machine.poke(COMPACT, "1")
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


def reserved_at_boot(node: int, size_kib: int, have: int, boot_id: str) -> Record:
    """The record of pages that the kernel reserved when it started."""
    states = {"pages": have}, {"pages": have, "at_boot": True}
    return Record("hugepages", "hugepages", f"{node}:{size_kib}", *states, boot_id=boot_id)


def ours(record: Record, have: int) -> int:
    """Return how many of ``have`` pages are surely ouchi's: none where the count was set back to what it was."""
    others, target = int(record.before["pages"]), int(record.after["pages"])
    begun_at = int(record.before.get("from", others)) if record.in_progress else target
    known = have if record.in_progress and have in (begun_at, target) else min(begun_at, target)
    return max(0, known - others) if have > others else 0


def _numbers(key: str) -> tuple[int, int]:
    node, size = key.split(":")
    return int(node), int(size)
