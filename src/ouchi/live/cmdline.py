"""Kernel parameters in every spelling that the kernel accepts.

Sources: Documentation/admin-guide/kernel-parameters.rst (lists of CPUs), ``housekeeping_isolcpus_setup`` in
kernel/sched/isolation.c, ``memparse`` in lib/cmdline.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ouchi.core.cpulist import HIGHEST_CPU

PAGES = ("default_hugepagesz", "hugepagesz", "hugepages")
"""Parameters for hugepages: their meaning depends on their order."""

_REGION = re.compile(r"(?:all|(N|[0-9]{1,4})(?:-(N|[0-9]{1,4}))?)(?::([0-9]{1,4})/([1-9][0-9]{0,3}))?")
_SIZE = re.compile(r"([0-9]{1,9})([kmg]?)", re.IGNORECASE)
_UNIT_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def key_of(word: str) -> str:
    """Return the name of a parameter: ``isolcpus`` of ``isolcpus=1-5``."""
    return word.partition("=")[0]


def value_of(found: Iterable[str], key: str) -> str | None:
    """Return the value of a parameter, None without one; of several the last, as the kernel does with lists."""
    return next((word.partition("=")[2] for word in reversed(tuple(found)) if key_of(word) == key), None)


def parts_of(found: Iterable[str], key: str) -> set[str]:
    """Return the comma-separated values of all parameters of a name: ``intel_iommu=on,sm_on``."""
    return {part for word in found if key_of(word) == key for part in word.partition("=")[2].split(",")}


def cpus_in(value: str, last: int) -> set[int]:
    """Return the CPUs of a list: ``1-5,7``, ``2-N`` and ``all``, up to the ``last`` one, ``0-31:1/2`` (one of every two).

    A list with an error is empty, as in the kernel.
    """
    found: set[int] = set()
    for part in filter(None, value.split(",")):
        match = _REGION.fullmatch(part)
        if match is None:
            return set()
        low, high = _number(match[1] or "0", last), _number(match[2] or match[1] or "N", last)
        used, group = int(match[3] or 1), int(match[4] or 1)
        found.update(cpu for cpu in range(low, min(high, HIGHEST_CPU) + 1) if (cpu - low) % group < used)
    return found


def isolated_in(value: str, last: int) -> set[int]:
    """Return the CPUs that ``isolcpus=`` isolates from the scheduler: with the flag ``domain``, or without flags."""
    parts = value.split(",")
    count = next((at for at, part in enumerate(parts) if not part[:1].isalpha()), len(parts))
    flags, cpus = parts[:count], parts[count:]
    return cpus_in(",".join(cpus), last) if not flags or "domain" in flags else set()


def kib_of(size: str) -> int:
    """Return a size in KiB: ``2M``, ``2048k``, ``1GB``; 0 for anything else."""
    match = _SIZE.match(size)
    return int(match[1]) * _UNIT_BYTES[match[2].lower()] // 1024 if match else 0


def _number(text: str, last: int) -> int:
    return last if text == "N" else int(text)
