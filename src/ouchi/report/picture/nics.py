"""The NICs of a picture: name, speed, role, what each carries, and the CPUs that poll its Rx queues."""

from __future__ import annotations

from dataclasses import dataclass

from ouchi.facts import Facts, Nic
from ouchi.facts.dpdk import support
from ouchi.facts.nics import PcieLink
from ouchi.plan.values import NicPlan, Plan
from ouchi.report.text import clean, speed

_GENERATIONS = {2.5: "1", 5.0: "2", 8.0: "3", 16.0: "4", 32.0: "5", 64.0: "6"}  # GT/s of a lane → PCIe generation


@dataclass(frozen=True, slots=True)
class Queue:
    """An Rx queue and the CPU that polls it; ``near``: on the NIC's own NUMA node."""

    number: int
    cpu: int
    near: bool


@dataclass(frozen=True, slots=True)
class DrawnNic:
    """One NIC: its NUMA node, lines of text and role; ``label``: all of it for screen readers."""

    name: str
    speed: str
    lines: tuple[str, ...]
    role: str
    queues: tuple[Queue, ...]
    node: int
    label: str


def drawn_nics(facts: Facts, plan: Plan | None) -> tuple[DrawnNic, ...]:
    """The NICs by PCI address; VFs are not listed: their PF counts them."""
    planned = {nic.address or nic.name: nic for nic in plan.nics} if plan else {}
    nodes = {cpu.id: cpu.node for cpu in facts.cpus}
    nics = sorted((nic for nic in facts.nics if nic.physical and not nic.pf), key=lambda nic: (nic.address, nic.name))
    return tuple(_drawn(nic, planned.get(nic.address or nic.name), facts, nodes) for nic in nics)


def _drawn(nic: Nic, planned: NicPlan | None, facts: Facts, nodes: dict[int, int]) -> DrawnNic:
    role = planned.role if planned else ""
    queues = tuple(
        Queue(number, cpu, nodes.get(cpu, nic.node) == nic.node or not nic.node_known)
        for number, cpu in enumerate(planned.rxqs if planned else ())
    )
    name = clean(nic.name) or clean(nic.address) or "a NIC without a name"
    rate = speed(nic.speed_mbps) or ("" if nic.up else "link down")
    assumed = "" if nic.node_known or len(set(nodes.values())) < 2 else "NUMA node not stated"
    hardware = " · ".join(filter(None, (clean(nic.driver), _pcie(nic.pcie) if nic.pcie else "")))
    lines = tuple(filter(None, (_purpose(nic, planned, facts), hardware, _carries(nic), assumed)))
    where = f"on NUMA node {nic.node}" if nic.node_known else "on an unknown NUMA node"
    polled = [f"queue {queue.number} polled by CPU {queue.cpu}" for queue in queues]
    label = ", ".join(filter(None, (f"{name} {where}", rate, *lines, *polled)))
    return DrawnNic(name, rate, lines, role, queues, nic.node, label)


def _purpose(nic: Nic, planned: NicPlan | None, facts: Facts) -> str:
    if planned is None:
        verdict = support(nic, facts.dpdk)
        return f"DPDK: {verdict.pmd}" if verdict.supported else "DPDK: no driver"
    roles = {"ovs-dpdk": "OVS-DPDK", "sriov": f"SR-IOV, {len(planned.vfs)} VFs"}
    return " · ".join(filter(None, (roles.get(planned.role, planned.role), clean(planned.physnet))))


def _pcie(link: PcieLink) -> str:
    if not link.width:
        return ""
    narrow = f" of ×{link.max_width}" if link.max_width > link.width else ""
    generation = _GENERATIONS.get(link.speed_gts, "")
    return f"PCIe{f' {generation}.0' if generation else ''} ×{link.width}{narrow}"


def _carries(nic: Nic) -> str:
    uses = ["your session"] if nic.session else []
    uses += ["default route"] if nic.default_route else []
    uses += [f"in {clean(nic.master)}"] if nic.master else []
    return ", ".join(uses)
