"""The memory that an instance takes: proportional set size of every process, guests apart, hugepages excluded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import GB
from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.machine.processes import guests_of, marked

GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Rollup:
    """The sums of ``/proc/PID/smaps_rollup``, in bytes."""

    pss: int
    hugetlb: int


@dataclass(frozen=True, slots=True)
class Row:
    """A process: its number, the service it belongs to (``guest`` for QEMU), its title, and bytes."""

    pid: int
    service: str
    title: str
    pss: int
    hugetlb: int


def parse_rollup(text: str) -> Rollup:
    """PSS and hugepages. The kernel counts hugetlb pages in their own two lines and not in ``Pss`` (smaps_hugetlb_range
    in fs/proc/task_mmu.c), so nothing is to be subtracted."""
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    return Rollup(kib["Pss"] * 1024, (kib.get("Shared_Hugetlb", 0) + kib.get("Private_Hugetlb", 0)) * 1024)


def parse_parent(stat: str) -> int:
    """The parent in ``/proc/PID/stat``; the name before it may hold spaces and parentheses."""
    return int(stat.rpartition(")")[2].split()[1])


def parse_title(cmdline: str, comm: str) -> str:
    """What a process calls itself: its name, or the title it has put in place of its arguments."""
    words = cmdline.replace("\0", " ").strip()
    return words[:60] if words and "/" not in words.split()[0] and ":" in words.split()[0] else comm.strip()


def services_by_process(parents: Mapping[int, int], known: Mapping[int, str]) -> dict[int, str]:
    """Each process that is known or descends from one that is, with the service of the nearest such ancestor.

    Needed beside the marks: a program that writes a long title over its arguments may write over its environment too.
    """
    found: dict[int, str] = {}
    for pid in parents:
        ancestor = pid
        while ancestor and ancestor not in known:
            ancestor = parents.get(ancestor, 0)
        if ancestor:
            found[pid] = known[ancestor]
    return found


def processes_of(machine: LocalMachine, instance: Instance) -> dict[int, str]:
    """Every process of the instance, guests among them, with its service."""
    known = {process.pid: process.service for process in marked(instance.name)}
    known |= dict.fromkeys(guests_of(instance), GUEST)
    parents: dict[int, int] = {}
    for name in machine.entries("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                parents[int(name)] = parse_parent(machine.read(f"/proc/{name}/stat"))
    return services_by_process(parents, known)


def measure_memory(machine: LocalMachine, instance: Instance) -> list[Row]:
    """Every process of the instance, the largest first."""
    rows = []
    for pid, service in processes_of(machine, instance).items():
        with contextlib.suppress(OSError, KeyError):  # it has ended meanwhile
            rollup = parse_rollup(machine.read(f"/proc/{pid}/smaps_rollup"))
            title = parse_title(machine.read(f"/proc/{pid}/cmdline"), machine.read(f"/proc/{pid}/comm"))
            rows.append(Row(pid, service, title, rollup.pss, rollup.hugetlb))
    return sorted(rows, key=lambda row: -row.pss)


def counted(rows: Sequence[Row]) -> float:
    """The PSS in GB (10⁹ bytes) of everything but guests."""
    return sum(row.pss for row in rows if row.service != GUEST) / GB


def memory_table(rows: Sequence[Row]) -> str:
    """A Markdown table: the processes that count, their sum, then guests, which do not."""
    ours = [row for row in rows if row.service != GUEST]
    guests = [row for row in rows if row.service == GUEST]
    lines = ["| Service | Process | PSS, MB | Hugepages, MB (not counted) |", "|---|---|---:|---:|"]
    lines += [_line(row) for row in ours]
    total, huge = sum(row.pss for row in ours), sum(row.hugetlb for row in ours)
    lines.append(
        f"| **Sum** | {len(ours)} processes, {total / 2**30:.3f} GiB | **{total / 1e6:.0f}** | {huge / 1e6:.0f} |"
    )
    lines += [_line(row) for row in guests]
    return "\n".join(lines)


def _line(row: Row) -> str:
    service = f"{row.service} (not counted)" if row.service == GUEST else row.service
    return f"| {service} | {row.title} | {row.pss / 1e6:.1f} | {row.hugetlb / 1e6:.0f} |"
