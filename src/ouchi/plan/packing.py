"""Where nova puts pinned vCPUs, so that the pools suit it.

nova prefers whole free cores, in ascending order, one guest after the other
(``nova.virt.hardware._pack_instance_onto_cores``, thread policy ``prefer``). It knows nothing of caches: which
cores are in the dedicated pool is the only say one has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def pack(cores: Iterable[Sequence[int]], guests: Iterable[int]) -> tuple[int, ...]:
    """The CPUs that guests of so many vCPUs get out of the free CPUs of each core, in order.

    A guest that does not fit any more gets none.
    """
    free = [list(core) for core in cores]
    used: list[int] = []
    for vcpus in guests:
        chosen = _place(free, vcpus)
        used += chosen
        free = [[cpu for cpu in core if cpu not in chosen] for core in free]
    return tuple(used)


def _place(free: list[list[int]], vcpus: int) -> list[int]:
    for threads in range(max(map(len, free), default=0), 0, -1):
        cores = [core[:threads] for core in free if len(core) >= threads]
        if threads * len(cores) >= vcpus:
            return [cpu for core in cores for cpu in core][:vcpus]
    rest = [cpu for core in free for cpu in core]
    return rest[:vcpus] if len(rest) >= vcpus else []
