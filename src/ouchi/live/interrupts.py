"""Interrupts as ``/proc/interrupts`` counts them, and what arrived between two looks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_CPU = re.compile(r"CPU([0-9]{1,4})")
_COUNT = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``label`` (``24``, ``LOC``), what it is called, and how many arrived on each CPU."""

    label: str
    name: str
    counts: Mapping[int, int]

    @property
    def device(self) -> bool:
        """True for a device's interrupt, which has a number; the others are the kernel's own."""
        return self.label.isdigit()


def parse_interrupts(text: str) -> dict[str, Line]:
    """The lines of ``/proc/interrupts`` by label; those that count for no CPU (``ERR``, ``MIS``) are left out.

    The first line names the online CPUs; each other one has a label, a count for each of them, and a description
    whose last word is the device's name (``show_interrupts`` in kernel/irq/proc.c).
    """
    head, _, rest = text.partition("\n")
    cpus = [int(number) for number in _CPU.findall(head)]
    found: dict[str, Line] = {}
    for line in rest.split("\n"):
        label, colon, after = line.strip().partition(":")
        words = after.split()
        counts = words[: len(cpus)]
        if not colon or not cpus or len(counts) < len(cpus) or not all(map(_COUNT.fullmatch, counts)):
            continue
        description = words[len(cpus) :]
        name = (description[-1] if description else "") if label.isdigit() else " ".join(description)
        found[label] = Line(label, name, dict(zip(cpus, map(int, counts), strict=True)))
    return found


@dataclass(frozen=True, slots=True)
class Arrived:
    """What arrived on some CPUs between two looks: the line, and the counts by CPU without zeros."""

    label: str
    name: str
    counts: Mapping[int, int]

    @property
    def total(self) -> int:
        """On all of these CPUs together."""
        return sum(self.counts.values())


def arrived(before: Mapping[str, Line], after: Mapping[str, Line], cpus: Iterable[int]) -> list[Arrived]:
    """What arrived on ``cpus`` between two looks, the most first. A line that is new begins at nothing."""
    wanted = set(cpus)
    found = []
    for label, line in after.items():
        earlier = before[label].counts if label in before else {}
        rises = {
            cpu: rise
            for cpu, count in line.counts.items()
            if cpu in wanted and (rise := count - earlier.get(cpu, 0)) > 0
        }
        if rises:
            found.append(Arrived(label, line.name, rises))
    return sorted(found, key=lambda one: (-one.total, one.label))
