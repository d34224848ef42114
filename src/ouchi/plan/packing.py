"""The CPUs where nova puts pinned vCPUs, computed so that the plan can show them.

nova prefers whole free cores, one guest after the other (``nova.virt.hardware._pack_instance_onto_cores``, thread
policy ``prefer``). It knows nothing of caches: which cores are in the dedicated pool is the only say one has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def in_novas_order(cores: Iterable[Sequence[int]]) -> list[tuple[int, ...]]:
    """The cores of a NUMA node in the order in which nova fills them, each with its threads in nova's order.

    That is not ascending. ``_get_host_numa_topology`` (nova.virt.libvirt.driver) puts the siblings of each CPU into a
    set of tuples and sorts them as sets, which compares subsets and so changes nothing: the order is that of Python's
    hashes, the same on every run. It is found here in the same way, so it holds when nova runs on a CPython like
    ours, which ouchi's own does.
    """
    by_cpu = sorted((cpu, tuple(set(core))) for core in cores for cpu in core)
    return list({core for _, core in by_cpu})


def pack(cores: Iterable[Sequence[int]], guests: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    """The CPUs that each guest of so many vCPUs gets out of the free CPUs of each core, in the order of the cores.

    A guest that does not fit any more gets none.
    """
    free = [list(core) for core in cores]
    packed: list[tuple[int, ...]] = []
    for vcpus in guests:
        chosen = tuple(_cpus_for(free, vcpus))
        packed.append(chosen)
        taken = set(chosen)
        free = [[cpu for cpu in core if cpu not in taken] for core in free]
    return tuple(packed)


def _cpus_for(free: list[list[int]], vcpus: int) -> list[int]:
    for threads in range(max(map(len, free), default=0), 0, -1):
        cores = [core[:threads] for core in free if len(core) >= threads]
        if threads * len(cores) >= vcpus:
            return [cpu for core in cores for cpu in core][:vcpus]
    rest = [cpu for core in free for cpu in core]
    return rest[:vcpus] if len(rest) >= vcpus else []
