"""The plan as other_config keys of Open vSwitch and options of nova."""

from __future__ import annotations

import re

from ouchi.core.cpulist import format_cpus
from ouchi.facts import Facts
from ouchi.facts.verdict import OVS, SRIOV
from ouchi.plan.draft import Draft
from ouchi.plan.guests import RATIO, allocation_ratio
from ouchi.plan.memory import MemoryPlan
from ouchi.plan.values import Notes, NovaValue, Pools, Style, mask
from ouchi.site import Site

SLEEP_US = 500  # the longest sleep of an idle PMD thread, where it may sleep
AFFINITY_SINCE = (2, 16)
"""The release with ``pmd-rxq-isolate``; without it, PMD threads with assigned Rx queues poll nothing else."""


def ovs_other_config(facts: Facts, chosen: Draft, notes: Notes) -> dict[str, str]:
    """The ``other_config`` of the Open_vSwitch record."""
    pools, memory = chosen.pools, chosen.memory
    allowed = " ".join(f"-a {nic.address}" for nic in chosen.nics if nic.role == OVS)
    keys = {
        "dpdk-init": "true",
        "dpdk-socket-mem": _socket_memory(facts, memory),
        "dpdk-extra": allowed or "--no-pci",
        "pmd-cpu-mask": mask(pools.pmd),
    }
    if any(nic.rxqs for nic in chosen.nics) and ovs_release(facts.ovs_version) >= AFFINITY_SINCE:
        # PMD threads with assigned Rx queues continue to poll the guests' ports.
        keys |= {"pmd-rxq-assign": "group", "pmd-rxq-isolate": "false"}
    which = "only the NICs of the site file" if allowed else "no NIC in the site file"
    why = f"{which}; without an allow list DPDK probes every PCI device, the management NIC among them"
    notes.because("dpdk-extra", keys["dpdk-extra"], why)
    if memory.per_port:
        keys["per-port-memory"] = "true"
    if (pools.overlapped or chosen.style is Style.POWER) and (key := sleep_key(facts.ovs_version)):
        keys[key] = str(SLEEP_US)
        why = "leaves its CPU to the host" if pools.overlapped else "lets its core rest"
        notes.because(key, f"{SLEEP_US} µs", f"an idle PMD thread {why}")
    return keys


def sleep_key(ovs_version: str) -> str:
    """The key that lets an idle PMD thread sleep; its name depends on the version, empty when that is unknown.

    ``pmd-maxsleep`` came with OVS 3.1 and is ``pmd-sleep-max`` since 3.2.
    """
    release = ovs_release(ovs_version)
    if release < (3, 1):
        return ""
    return "pmd-maxsleep" if release < (3, 2) else "pmd-sleep-max"


def ovs_release(ovs_version: str) -> tuple[int, int]:
    """Open vSwitch's major and minor version; (0, 0) when it is not known."""
    match = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", ovs_version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def saves_power(facts: Facts, pools: Pools) -> bool:
    """Return whether nova can switch the governor of dedicated CPUs: every CPU has one."""
    return bool(pools.dedicated) and all(cpu.governor for cpu in facts.cpus if cpu.online)


def nova_keys(site: Site, facts: Facts, chosen: Draft) -> dict[str, dict[str, NovaValue]]:
    """nova.conf's part of the plan: section → option → value."""
    pools, memory, nics = chosen.pools, chosen.memory, chosen.nics
    default: dict[str, NovaValue] = {
        "reserved_host_memory_mb": str(memory.reserved_host_mib),
        "reserved_huge_pages": tuple(
            f"node:{node},size:{memory.page_kib},count:{count}" for node, count in sorted(memory.reserved_pages.items())
        ),
    }
    if (ratio := allocation_ratio(chosen.guests)) > RATIO:
        default["cpu_allocation_ratio"] = f"{ratio}.0"
    compute: dict[str, NovaValue] = {"cpu_shared_set": format_cpus(pools.shared)}
    if pools.dedicated:
        compute["cpu_dedicated_set"] = format_cpus(pools.dedicated)
    sections = {"DEFAULT": default, "compute": compute}
    if chosen.style is Style.POWER and saves_power(facts, pools):
        # By governor and not by taking CPUs offline: an offline CPU is in no plan.
        sections["libvirt"] = {"cpu_power_management": "true", "cpu_power_management_strategy": "governor"}
    if any(nic.role == SRIOV for nic in nics):
        specs = (
            f'{{"address": "{nic.address}", "physical_network": "{nic.physnet}"}}' for nic in nics if nic.role == SRIOV
        )
        sections["pci"] = {"device_spec": tuple(specs)}
    return sections | _near_their_network(site, facts, chosen)


def _near_their_network(site: Site, facts: Facts, chosen: Draft) -> dict[str, dict[str, NovaValue]]:
    """Guests go to the NUMA node of the NIC behind their network, where there are several nodes.

    Not for a network that a guest of the plan is on from another node: nova would refuse that guest
    (``nova.virt.hardware._numa_cells_support_network_metadata``).
    """
    if len({cpu.node for cpu in facts.cpus if cpu.online}) < 2:
        return {}
    physnet_of = {network.name: network.physnet for network in site.networks}
    guests: dict[str, set[int]] = {}
    for server, guest in zip(site.servers, chosen.guests, strict=True):
        for port in server.ports:
            guests.setdefault(physnet_of[port.network], set()).add(guest.node)
    near = {
        nic.physnet: nic.node for nic in chosen.nics if nic.physnet and guests.get(nic.physnet, set()) <= {nic.node}
    }
    if not near:
        return {}
    sections: dict[str, dict[str, NovaValue]] = {"neutron": {"physnets": ",".join(sorted(near))}}
    for physnet, node in sorted(near.items()):
        sections[f"neutron_physnet_{physnet}"] = {"numa_nodes": str(node)}
    return sections


def _socket_memory(facts: Facts, memory: MemoryPlan) -> str:
    """One number per NUMA node in MiB, by node number; nodes without ports get none."""
    last = max({cpu.node for cpu in facts.cpus if cpu.online} | memory.socket_mib.keys())
    return ",".join(str(memory.socket_mib.get(node, 0)) for node in range(last + 1))
