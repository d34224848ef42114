"""NUMA nodes, their memory and hugepages."""

from __future__ import annotations

from ouchi.core.cpulist import format_cpus
from tests.hosts.cpus import mask
from tests.hosts.description import Host, Node
from tests.hosts.numbering import positions, shared
from tests.hosts.tree import Tree

NODES = "/sys/devices/system/node"
POOLS = "/sys/kernel/mm/hugepages"


def put_memory(tree: Tree, host: Host) -> None:
    """``/proc/meminfo`` and everything below ``/sys/devices/system/node``."""
    cpus = positions(host)
    numbers = sorted({node.node for node in host.memory} | {run.node for run in host.cores})
    listed = format_cpus(numbers)
    files = {"online": listed, "possible": listed, "has_cpu": format_cpus({run.node for run in host.cores})}
    tree.put_all(NODES, files | {"has_memory": format_cpus(node.node for node in host.memory)})
    online = shared(cpus, lambda position: position.run.node)
    memory = {node.node: node for node in host.memory}
    for number in numbers:
        folder = f"{NODES}/node{number}"
        node = memory.get(number, Node(node=number, total_kib=0, free_kib=0))
        distances = node.distances or tuple(10 if other == number else 21 for other in numbers)
        tree.put_all(
            folder,
            {
                "cpulist": format_cpus(online.get(number, ())),
                "cpumap": mask(online.get(number, ()), len(cpus)),
                "distance": " ".join(map(str, distances)),
                "meminfo": _node_meminfo(node),
            },
        )
        _hugepages(tree, f"{folder}/hugepages", node.hugepages)
    totals: dict[int, int] = {}
    for node in host.memory:
        for size, count in node.hugepages:
            totals[size] = totals.get(size, 0) + count
    _hugepages(tree, POOLS, tuple(totals.items()))
    tree.put("/proc/meminfo", _meminfo(host, totals.get(2048, 0)))


def _hugepages(tree: Tree, folder: str, pools: tuple[tuple[int, int], ...]) -> None:
    for size, count in pools:
        files = {"nr_hugepages": count, "free_hugepages": count, "surplus_hugepages": 0}
        tree.put_all(f"{folder}/hugepages-{size}kB", files)


def _node_meminfo(node: Node) -> str:
    lines = {
        "MemTotal": node.total_kib,
        "MemFree": node.free_kib,
        "MemUsed": node.total_kib - node.free_kib,
        "FilePages": node.cached_kib,
        "Shmem": 0,
    }
    text = "".join(f"Node {node.node} {key + ':':<15} {kib:>8} kB\n" for key, kib in lines.items())
    count = dict(node.hugepages).get(2048, 0)
    return text + "".join(f"Node {node.node} {key:<16} {count:>5}\n" for key in ("HugePages_Total:", "HugePages_Free:"))


def _meminfo(host: Host, count: int) -> str:
    lines = {
        "MemTotal": sum(node.total_kib for node in host.memory),
        "MemFree": sum(node.free_kib for node in host.memory),
        "MemAvailable": host.available_kib,
        "Buffers": 0,
        "Cached": sum(node.cached_kib for node in host.memory),
        "SwapTotal": 0,
        "SwapFree": 0,
    }
    text = "".join(f"{key + ':':<15} {kib:>8} kB\n" for key, kib in lines.items())
    pages = "".join(f"{key:<15} {count:>8}\n" for key in ("HugePages_Total:", "HugePages_Free:"))
    return f"{text}{pages}Hugepagesize:       2048 kB\n"
