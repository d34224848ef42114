"""The plan as keys of Open vSwitch and nova."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ouchi.cpulist import format_cpus
from ouchi.facts import Facts
from ouchi.plan.guests import RATIO, allocation_ratio
from ouchi.plan.memory import PAGE_KIB, MemoryPlan
from ouchi.plan.values import GuestPlan, NicPlan, Notes, NovaValue, Pools, mask

SLEEP_US = "500"  # the longest nap of an idle polling thread that shares its CPU


def ovs_other_config(
    facts: Facts, pools: Pools, memory: MemoryPlan, nics: Sequence[NicPlan], ovs_version: str, notes: Notes
) -> dict[str, str]:
    """The ``other_config`` of the Open_vSwitch record."""
    keys = {
        "dpdk-init": "true",
        "dpdk-socket-mem": _socket_memory(facts, memory),
        "dpdk-extra": " ".join(f"-a {nic.address}" for nic in nics) or "--no-pci",
        "pmd-cpu-mask": mask(pools.pmd),
    }
    notes.because(
        "dpdk-extra",
        keys["dpdk-extra"],
        "only the NICs of your file: left alone, DPDK probes every PCI device, this machine's own NIC among them",
    )
    if memory.per_port:
        keys["per-port-memory"] = "true"
    if pools.overlapped and (key := sleep_key(ovs_version)):
        keys[key] = SLEEP_US
        notes.because(key, f"{SLEEP_US} µs", "an idle polling thread leaves its CPU to the host")
    return keys


def sleep_key(ovs_version: str) -> str:
    """The key that lets an idle polling thread sleep; its name depends on the version, empty when unknown.

    ``pmd-maxsleep`` came with OVS 3.1 and is ``pmd-sleep-max`` since 3.2.
    """
    match = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", ovs_version)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version < (3, 1):
        return ""
    return "pmd-maxsleep" if version < (3, 2) else "pmd-sleep-max"


def nova_keys(pools: Pools, memory: MemoryPlan, guests: Sequence[GuestPlan]) -> dict[str, dict[str, NovaValue]]:
    """nova.conf's part of the plan: section → option → value."""
    default: dict[str, NovaValue] = {
        "reserved_host_memory_mb": str(memory.reserved_host_mib),
        "reserved_huge_pages": tuple(
            f"node:{node},size:{PAGE_KIB},count:{count}" for node, count in sorted(memory.reserved_pages.items())
        ),
    }
    if (ratio := allocation_ratio(guests, pools)) > RATIO:
        default["cpu_allocation_ratio"] = f"{ratio}.0"
    compute: dict[str, NovaValue] = {"cpu_shared_set": format_cpus(pools.shared)}
    if pools.dedicated:
        compute["cpu_dedicated_set"] = format_cpus(pools.dedicated)
    return {"DEFAULT": default, "compute": compute}


def _socket_memory(facts: Facts, memory: MemoryPlan) -> str:
    """One number per NUMA node in MiB, by node number; nodes without ports get none."""
    last = max({cpu.node for cpu in facts.cpus if cpu.online} | memory.socket_mib.keys())
    return ",".join(str(memory.socket_mib.get(node, 0)) for node in range(last + 1))
