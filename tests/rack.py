"""A host to render for: two sockets, one NIC for OVS-DPDK, one for SR-IOV, a pinned and an unpinned server."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ouchi.facts import Facts
from ouchi.plan import Style, make_plan
from ouchi.plan.target import Target
from ouchi.site import load_site
from tests.plans import facts_of

NICS = """nics:
  - {nic: ens4f0, physnet: physnet1}
  - {nic: ens4f1, physnet: physnet2, role: sriov, vfs: 8}
"""
NETWORKS = """networks:
  - {name: left, vlan: 101, subnet: 10.101.0.0/24}
  - {name: right, vlan: 102, mtu: 9000, subnet: 10.102.0.0/24}
"""
SERVERS = """servers:
  - {name: forwarder, vcpus: 8, memory: 8 GiB, forwards: true, pinned: true, ports: [{network: left}, {network: right}]}
  - {name: endpoint, vcpus: 2, memory: 1 GiB, pinned: false, ports: [{network: left}]}
"""
SMALL = """servers:
  - {name: endpoint, vcpus: 1, memory: 256 MiB, ports: [{network: left}]}
"""


@cache
def rack(ovs_version: str = "3.1.0", style: Style | None = None) -> Target:
    """The big host; its NICs are X710s with SR-IOV."""
    facts = facts_of("dual-socket-nic-on-node-1")
    pnics = tuple(replace(nic, vendor="8086", device="1572", vfs_total=64, group_with=()) for nic in facts.nics)
    return _host(replace(facts, nics=pnics, ovs_version=ovs_version), NICS + NETWORKS + SERVERS, style)


@cache
def small(ovs_version: str = "3.1.0") -> Target:
    """Two CPUs, without a NIC for the data plane: the PMD thread shares a CPU with the host."""
    return _host(replace(facts_of("vm-2-cpus"), ovs_version=ovs_version), NETWORKS + SMALL, None)


def _host(facts: Facts, text: str, style: Style | None) -> Target:
    site = load_site(f"name: rack7\n{text}".encode(), "site.yaml")
    return Target(site, facts, make_plan(site, facts, style))
