"""Threads and the CPUs that the kernel lets each of them use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ouchi.facts.reading import cpus_of, whole

_PLACE = re.compile(r"([0-9]{1,9})/task/([0-9]{1,9})/status")
_PMD = re.compile(r"pmd-c([0-9]{1,4})/.*")
_VCPU = re.compile(r"CPU [0-9]+/(?:KVM|TCG)|ALL CPUs/TCG")
_GUEST = re.compile(r"-name (?:guest=)?([^, ]+)")


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread: its process and that one's parent, its number, its name, whether it is the kernel's, where it may run."""

    pid: int
    tid: int
    name: str
    kernel: bool
    cpus: tuple[int, ...]
    parent: int = 0

    @property
    def pmd(self) -> int | None:
        """The CPU that a polling thread of OVS is for, by its name (``pmd-c01/id:8``, lib/dpif-netdev.c)."""
        match = _PMD.fullmatch(self.name)
        return int(match[1]) if match else None

    @property
    def vcpu(self) -> bool:
        """True for the thread of a guest's vCPU, by the name that QEMU gives it when libvirt starts it."""
        return bool(_VCPU.fullmatch(self.name))


@dataclass(frozen=True, slots=True)
class Guest:
    """A QEMU process, the guest's name on its command line, and whether its disk is ouchi's."""

    pid: int
    name: str
    ours: bool


def parse_threads(text: str) -> tuple[Thread, ...]:
    """The threads in ``PID/task/TID/status:KEY: VALUE`` lines; those that ended meanwhile are left out.

    A thread without memory of its own (no ``VmSize``) is the kernel's, or a zombie, which is left out.
    """
    read: dict[tuple[int, int], dict[str, str]] = {}
    for line in text.split("\n"):
        place, _, rest = line.partition(":")
        key, _, value = rest.partition(":")
        if match := _PLACE.fullmatch(place):
            read.setdefault((int(match[1]), int(match[2])), {})[key] = value.strip()
    return tuple(
        Thread(
            pid=pid,
            tid=tid,
            name=keys.get("Name", ""),
            kernel="VmSize" not in keys,
            cpus=cpus_of(keys["Cpus_allowed_list"]),
            parent=whole(keys.get("PPid", ""), 0),
        )
        for (pid, tid), keys in read.items()
        if "Cpus_allowed_list" in keys and not keys.get("State", "").startswith(("Z", "X"))
    )


def parse_guests(text: str, disks: str) -> tuple[Guest, ...]:
    """QEMU processes in ``/proc/PID/cmdline:WORDS`` lines; ``disks`` is the folder of ouchi's guests."""
    found = []
    for line in text.split("\n"):
        place, _, words = line.partition(":")
        pid = place.removeprefix("/proc/").removesuffix("/cmdline")
        if pid.isascii() and pid.isdigit() and len(pid) < 10:
            name = _GUEST.search(words)
            found.append(Guest(int(pid), name[1] if name else "", disks in words))
    return tuple(found)


def family(threads: Iterable[Thread], pids: Iterable[int]) -> frozenset[int]:
    """These processes, those that started them, and all that they have started; never process 1."""
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
    """Names once each, with how often: ``grep, sh (3), and 4 more``."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    shown = [name if count == 1 else f"{name} ({count})" for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f", and {len(counts) - most} more" if len(counts) > most else "")
