"""Hugepages and hugetlbfs mounts."""

from __future__ import annotations

import re

from ouchi.facts.reading import pairs, whole
from ouchi.live.cmdline import kib_of

_POOL = re.compile(r"node([0-9]{1,4})/hugepages/hugepages-([0-9]{1,9})kB/(nr|free)_hugepages")
_PAGE = re.compile(r"\bpagesize=([0-9]{1,9}[KMG]?)")


def parse_hugepages(text: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Return total and free pages by NUMA node and size in KiB, from ``nodeN/hugepages/…:COUNT`` lines."""
    counts: dict[tuple[int, int], dict[str, int]] = {}
    for path, count in pairs(text, ":").items():
        if match := _POOL.fullmatch(path):
            counts.setdefault((int(match[1]), int(match[2])), {})[match[3]] = max(0, whole(count, 0))
    return {key: (count.get("nr", 0), count.get("free", 0)) for key, count in counts.items()}


def parse_mounts(mounts: str, default_kib: int) -> tuple[int, ...]:
    """Return the page sizes in KiB of the hugetlbfs mounts; a mount without one has the default."""
    found = set()
    for line in mounts.split("\n"):
        if " hugetlbfs " in line:
            match = _PAGE.search(line)
            found.add(kib_of(match[1]) if match else default_kib)
    return tuple(sorted(found))
