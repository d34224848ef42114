"""Memory and hugepages of each NUMA node, from sysfs and ``/proc/meminfo``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ouchi.facts.reading import names_in, pairs, text_of, whole
from ouchi.machine import Reader

NODES = "/sys/devices/system/node"
POOLS = "/sys/kernel/mm/hugepages"

MOST_NODES = 1024
"""As many NUMA nodes as Linux can be built for."""

_NODE = re.compile(r"node([0-9]{1,4})")
_POOL = re.compile(r"hugepages-([0-9]{1,9})kB")
_DISTANCE = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class HugepagePool:
    """The hugepages of one size on one node: ``size_kib`` each, ``total`` and ``free`` in pages."""

    size_kib: int
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class MemoryNode:
    """The memory of one NUMA node in KiB, and its hugepages by size.

    ``free_kib`` is what can be handed out without swapping: free pages and the page cache that can be
    dropped (MemAvailable where the host has one node). ``distances``: how far the memory of node 0, 1, … is from
    here as the firmware rates it (10: its own), empty when it does not.
    """

    node: int
    total_kib: int
    free_kib: int
    hugepages: tuple[HugepagePool, ...]
    distances: tuple[int, ...]

    def pool(self, size_kib: int) -> HugepagePool | None:
        """The pool of pages of a size, if the kernel has one."""
        return next((pool for pool in self.hugepages if pool.size_kib == size_kib), None)


def read_memory(reader: Reader, whole_host: dict[str, str]) -> tuple[MemoryNode, ...]:
    """The nodes that have memory, by number; one node 0 where the kernel shows none.

    ``whole_host`` are the lines of ``/proc/meminfo``.
    """
    numbers = sorted(int(match[1]) for name in names_in(reader, NODES) if (match := _NODE.fullmatch(name)))
    nodes = tuple(node for number in numbers if (node := _node(reader, number)).total_kib)
    if len(nodes) > 1:
        return nodes
    # With one node /proc/meminfo is the better witness: a node's own file lags behind on machines that
    # bring their memory up late, and does not say what is available.
    total, free = _kib(whole_host, "MemTotal"), available_kib(whole_host)
    if nodes:
        return (replace(nodes[0], total_kib=total, free_kib=free),)
    return (MemoryNode(0, total, free, _pools(reader, POOLS), ()),)


def available_kib(meminfo: dict[str, str]) -> int:
    """MemAvailable of ``/proc/meminfo``, or free memory and page cache on kernels before 3.14."""
    return _kib(meminfo, "MemAvailable") or _kib(meminfo, "MemFree") + _kib(meminfo, "Cached")


def _node(reader: Reader, number: int) -> MemoryNode:
    folder = f"{NODES}/node{number}"
    prefix = f"Node {number} "
    lines = pairs(text_of(reader, f"{folder}/meminfo").replace(prefix, ""), ":")
    droppable = max(0, _kib(lines, "FilePages") - _kib(lines, "Shmem"))
    return MemoryNode(
        node=number,
        total_kib=_kib(lines, "MemTotal"),
        free_kib=_kib(lines, "MemFree") + droppable,
        hugepages=_pools(reader, f"{folder}/hugepages"),
        distances=_distances(text_of(reader, f"{folder}/distance")),
    )


def _pools(reader: Reader, folder: str) -> tuple[HugepagePool, ...]:
    sizes = sorted(int(match[1]) for name in names_in(reader, folder) if (match := _POOL.fullmatch(name)))
    return tuple(
        HugepagePool(
            size,
            total=max(0, whole(text_of(reader, f"{folder}/hugepages-{size}kB/nr_hugepages"), 0)),
            free=max(0, whole(text_of(reader, f"{folder}/hugepages-{size}kB/free_hugepages"), 0)),
        )
        for size in sizes
        if size
    )


def _distances(text: str) -> tuple[int, ...]:
    """``10 21``; nothing when a word is no number, for then the places of the others mean nothing."""
    words = text.split()[:MOST_NODES]
    return tuple(map(int, words)) if all(_DISTANCE.fullmatch(word) for word in words) else ()


def _kib(lines: dict[str, str], key: str) -> int:
    return max(0, whole(lines.get(key, "").removesuffix("kB"), 0))
