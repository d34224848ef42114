"""NUMA nodes without memory, and the node of ovs-vswitchd's main thread.

DPDK makes the data that all its ports share on the node of the main lcore (``eth_dev_shared_data_prepare`` in
lib/ethdev, a memzone on ``rte_socket_id()``), which Open vSwitch takes from the first CPU of its main thread's affinity.
Without a hugepage on that node no port can be made.
"""

from __future__ import annotations

from ouchi.facts import Facts
from ouchi.plan.values import Pools


def memoryless_nodes(facts: Facts) -> frozenset[int]:
    """The NUMA nodes that have online CPUs and no memory; none where no node with CPUs has any."""
    with_cpus = {cpu.node for cpu in facts.cpus if cpu.online}
    with_memory = {node.node for node in facts.memory}
    return frozenset(with_cpus - with_memory) if with_cpus & with_memory else frozenset()


def switch_cpus(facts: Facts, pools: Pools) -> tuple[int, ...]:
    """The CPUs of ovs-vswitchd's threads other than PMD threads: the host's, but for those of nodes without memory."""
    memoryless = memoryless_nodes(facts)
    node_of = {cpu.id: cpu.node for cpu in facts.cpus}
    return tuple(cpu for cpu in pools.host if node_of[cpu] not in memoryless) or pools.host


def main_node(facts: Facts, pools: Pools) -> int:
    """The node of ovs-vswitchd's main thread, which needs hugepages."""
    main = min(switch_cpus(facts, pools))
    return next(cpu.node for cpu in facts.cpus if cpu.id == main)
