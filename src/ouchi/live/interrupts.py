"""Interrupts: their counts in ``/proc/interrupts``, their affinity, and irqbalance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ouchi.facts.reading import cpus_of, pairs

BANNED = ("IRQBALANCE_BANNED_CPUS", "IRQBALANCE_BANNED_CPULIST")

_CPU = re.compile(r"CPU([0-9]{1,4})")
_COUNT = re.compile(r"[0-9]{1,20}")
_IRQ = re.compile(r"([0-9]{1,7})/(smp_affinity_list|effective_affinity_list)")
_MASK = re.compile(r"[0-9a-fA-F]{1,8}(?:,[0-9a-fA-F]{1,8})*")


@dataclass(frozen=True, slots=True)
class Line:
    """A line: ``label`` (``24``, ``LOC``), the device's name or a description, and the count of each CPU."""

    label: str
    name: str
    counts: Mapping[int, int]

    @property
    def device(self) -> bool:
        """Whether it is a device's interrupt, which has a number; the others are the kernel's own."""
        return self.label.isdigit()


def parse_interrupts(text: str) -> dict[str, Line]:
    """Return the lines of ``/proc/interrupts`` by label; those without counts by CPU (``ERR``, ``MIS``) are left out.

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


def arrived(before: Mapping[str, Line], after: Mapping[str, Line], cpus: Iterable[int]) -> list[Line]:
    """Return what arrived on ``cpus`` between two readings, the most first: lines with counts without zeros.

    A new line counts from zero.
    """
    requested = set(cpus)
    found = []
    for label, line in after.items():
        earlier = before[label].counts if label in before else {}
        rises = {
            cpu: rise
            for cpu, count in line.counts.items()
            if cpu in requested and (rise := count - earlier.get(cpu, 0)) > 0
        }
        if rises:
            found.append(Line(label, line.name, rises))
    return sorted(found, key=lambda one: (-sum(one.counts.values()), one.label))


@dataclass(frozen=True, slots=True)
class Irqbalance:
    """A running irqbalance and the variable of its environment that bans CPUs; None where only root may read it.

    ``default_variable``: the name of the variable in /etc/default/irqbalance, which overrides those of drop-ins.
    """

    pid: int
    banned: str | None
    default_variable: str = ""


def mask_cpus(text: str) -> tuple[int, ...]:
    """Return the CPUs of a mask of ``/proc/irq``: groups of 32 bits in hexadecimal, the highest first."""
    text = text.strip()
    if not _MASK.fullmatch(text) or len(text) > 4096:
        return ()
    number = int("".join(word.rjust(8, "0") for word in text.split(",")), 16)
    return tuple(cpu for cpu in range(number.bit_length()) if number >> cpu & 1)


def grouped_mask(cpus: Iterable[int]) -> str:
    """Return the mask of CPUs as the kernel reads it: groups of 32 bits in hexadecimal, separated by commas."""
    digits = f"{sum(1 << cpu for cpu in set(cpus)):x}"
    digits = digits.rjust(-(-len(digits) // 8) * 8, "0")
    return ",".join(digits[at : at + 8] for at in range(0, len(digits), 8))


def parse_affinities(read: Mapping[str, str], name: str) -> dict[int, tuple[int, ...]]:
    """Return the CPUs of each IRQ from the values below ``/proc/irq``."""
    return {
        int(match[1]): cpus_of(value)
        for path, value in read.items()
        if (match := _IRQ.fullmatch(path)) and match[2] == name
    }


def parse_irqbalance(text: str) -> Irqbalance | None:
    """Return the running irqbalance, None without one.

    It prefers the older mask to the list, and ignores an empty one (setup_banned_cpus in its cputree.c).
    """
    variables = pairs(text, "=")
    pid = re.search(r"^pid:([0-9]{1,9})$", text, re.MULTILINE)
    if not pid:
        return None
    banned = next((f"{key}={variables[key]}" for key in BANNED if variables.get(key)), "")
    default = next((key for key in BANNED if variables.get(f"default:{key}")), "")
    unreadable = re.search(r"^unreadable$", text, re.MULTILINE)
    return Irqbalance(int(pid[1]), None if unreadable else banned, default)
