"""Threads and their CPU affinity."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ouchi.facts.reading import cpus_of, whole

_PATH = re.compile(r"([0-9]{1,9})/task/([0-9]{1,9})/status")
_PMD = re.compile(r"pmd-c([0-9]{1,4})/.*")
_VCPU = re.compile(r"CPU [0-9]+/(?:KVM|TCG)|ALL CPUs/TCG")


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread: process, thread number, name, whether it is a kernel thread, its affinity, the process's parent.

    ``stopped``: by a signal or a debugger.
    """

    pid: int
    tid: int
    name: str
    kernel: bool
    cpus: tuple[int, ...]
    parent: int = 0
    stopped: bool = False

    @property
    def pmd(self) -> int | None:
        """The CPU in the name of a PMD thread (``pmd-c01/id:8``, lib/dpif-netdev.c); None for other threads."""
        match = _PMD.fullmatch(self.name)
        return int(match[1]) if match else None

    @property
    def vcpu(self) -> bool:
        """Whether it is a vCPU thread, by the name that QEMU gives it when libvirt starts it."""
        return bool(_VCPU.fullmatch(self.name))


def parse_threads(text: str) -> tuple[Thread, ...]:
    """Return the threads in ``PID/task/TID/status:KEY: VALUE`` lines, without those that ended meanwhile.

    A thread without ``VmSize`` is a kernel thread, or a zombie, which is left out.
    """
    read: dict[tuple[int, int], dict[str, str]] = {}
    for line in text.split("\n"):
        path, _, rest = line.partition(":")
        key, _, value = rest.partition(":")
        if match := _PATH.fullmatch(path):
            read.setdefault((int(match[1]), int(match[2])), {})[key] = value.strip()
    return tuple(
        Thread(
            pid=pid,
            tid=tid,
            name=keys.get("Name", ""),
            kernel="VmSize" not in keys,
            cpus=cpus_of(keys["Cpus_allowed_list"]),
            parent=whole(keys.get("PPid", ""), 0),
            stopped=keys.get("State", "").startswith(("T", "t")),
        )
        for (pid, tid), keys in read.items()
        if "Cpus_allowed_list" in keys and not keys.get("State", "").startswith(("Z", "X"))
    )


def family(threads: Iterable[Thread], pids: Iterable[int]) -> frozenset[int]:
    """Return processes with their ancestors and descendants, never process 1."""
    parents = {thread.pid: thread.parent for thread in threads}
    roots = {pid for pid in pids if pid > 1}
    found = set(roots)
    for pid in parents:
        line: list[int] = []
        while pid and pid not in found and pid not in line:
            line.append(pid)
            pid = parents.get(pid, 0)
        if pid in found:
            found.update(line)
    return frozenset(found | {parents[pid] for pid in roots if parents.get(pid, 0) > 1})


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return each name once, with its count: ``grep, sh (3), and 4 more``."""
    counts = Counter(names)
    shown = [name if count == 1 else f"{name} ({count})" for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f", and {len(counts) - most} more" if len(counts) > most else "")
