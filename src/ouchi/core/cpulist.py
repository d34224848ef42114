"""CPU lists in the kernel's format: ``0,2-5``."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIGHEST_CPU = 8191  # the kernel's largest CONFIG_NR_CPUS is 8192
LONGEST_TEXT = 65536  # every number up to HIGHEST_CPU written out takes less than 40 kB

_PART = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


def parse_cpus(text: str) -> tuple[int, ...]:
    """The CPU numbers in ``text``, ascending; none for a blank text.

    Accepts numbers and inclusive ranges separated by commas, with spaces around them. Raises ValueError with a message
    for the user on anything else: a range that runs backwards, a CPU named twice, a number above 8191.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a CPU list of {len(text)} characters is too long")
    if not text.strip():
        return ()
    cpus: set[int] = set()
    for part in text.split(","):
        low, high = _bounds(part.strip())
        for cpu in range(low, high + 1):
            if cpu in cpus:
                raise ValueError(f"CPU {cpu} is named twice")
            cpus.add(cpu)
    return tuple(sorted(cpus))


def format_cpus(cpus: Iterable[int]) -> str:
    """``cpus`` in the shortest form that :func:`parse_cpus` reads back: ``0,2-5``."""
    runs: list[tuple[int, int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], cpu)
        else:
            runs.append((cpu, cpu))
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)


def _bounds(part: str) -> tuple[int, int]:
    if not part:
        raise ValueError("an empty item between commas")
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"{part[:40]!r} is neither a number nor a range such as 2-5")
    low, high = int(match[1]), int(match[2] or match[1])
    if high < low:
        raise ValueError(f"the range {part} runs backwards")
    if high > HIGHEST_CPU:
        raise ValueError(f"CPU {high} is above {HIGHEST_CPU}, the highest that Linux can number")
    return low, high
