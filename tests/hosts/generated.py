"""Random hosts of 1 to 1024 CPUs for properties that every plan keeps.

``descriptions()`` draws a host in words, ``hosts()`` its facts. The facts are made without files, which would take
most of a second for the largest; a test shows that the files say the same.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from functools import cache

from hypothesis import strategies as st

from ouchi.facts import Cpu, Facts, HugepagePool, L3Group, MemoryNode, Nic, PcieLink, collect
from tests.hosts import build
from tests.hosts.description import Cores, Host, Net, Node, Pci, Processor
from tests.hosts.numbering import Position, positions, shared

MOST = 1024
GIB = 1024 * 1024
PROCESSOR = Processor(vendor="GenuineIntel", model="Generated", virtualisation="vmx", governor="performance")


def hosts(most: int = MOST) -> st.SearchStrategy[Facts]:
    """The facts of any host of up to so many CPUs."""
    return descriptions(most).map(facts_of)


@st.composite
def descriptions(draw: st.DrawFn, most: int = MOST) -> Host:
    """A host of up to so many CPUs: packages, nodes, unequal L3 groups, SMT, kinds, offline CPUs, NICs.

    Most are small: they have the same corners as large ones, and take less time.
    """
    cores, l3_kib = draw(_cores(draw(st.sampled_from([*(small for small in (8, 64) if small < most), most]))))
    count = sum(run.count * run.threads for run in cores)
    offline = draw(st.sets(st.integers(1, count - 1), max_size=5)) if count > 1 else set()
    nodes = sorted({run.node for run in cores})
    nodes += [nodes[-1] + 1] * draw(st.booleans())  # memory without CPUs, as expanders have it
    gib = [draw(st.sampled_from((16, 64, 256, 1, 0))) for _ in nodes]
    if not any(gib):
        gib[0] = 16
    hugepages = ((2048, draw(st.sampled_from((0, 512)))), (1048576, 0))
    memory = tuple(
        Node(node=node, total_kib=size * GIB, free_kib=size * GIB, hugepages=hugepages)
        for node, size in zip(nodes, gib, strict=True)
        if size
    )
    return Host(
        cores=cores,
        l3_kib=l3_kib,
        numbering=draw(st.sampled_from(("threads last", "adjacent", "alternating"))),
        offline=tuple(sorted(offline)),
        memory=memory,
        available_kib=sum(gib) * GIB,
        processor=PROCESSOR,
        pci=draw(_nics(nodes)),
        dpdk="22.11",
        ovs=draw(st.sampled_from(("", "3.1.0", "3.3.4"))),
    )


@st.composite
def _cores(draw: st.DrawFn, most: int) -> tuple[tuple[Cores, ...], tuple[int, ...]]:
    packages, nodes, groups = (draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    threads = draw(st.sampled_from((1, 2, 4)))
    while packages * nodes * groups * threads > most:
        packages, nodes, groups, threads = (max(1, part // 2) for part in (packages, nodes, groups, threads))
    largest = max(1, min(32, most // (packages * nodes * groups * threads)))
    caches = draw(st.sampled_from(("group", "package", "none")))
    runs: list[Cores] = []
    sizes: list[int] = []
    ids = [0] * packages
    for package in range(packages):
        for node in range(nodes):
            for _ in range(groups):
                if caches == "group" or (caches == "package" and len(sizes) == package):
                    sizes.append(draw(st.sampled_from((8192, 16384, 32768, 98304))))
                run = Cores(
                    count=draw(st.integers(1, largest)),
                    threads=threads,
                    package=package,
                    node=package * nodes + node,
                    l3=len(sizes) - 1 if caches != "none" else -1,
                    first_id=ids[package],
                    max_khz=3000000,
                )
                ids[package] += run.count + draw(st.integers(0, 2))
                runs.append(run)
    room = most - sum(run.count * run.threads for run in runs)
    if len(runs) == 1 and room > 0 and draw(st.booleans()):
        efficient = draw(st.integers(1, min(room, 16)))
        kind = replace(runs[0], count=efficient, threads=1, kind="efficient", l2_cores=4, first_id=ids[0])
        runs = [replace(runs[0], kind="performance"), kind]
    return tuple(runs), tuple(sizes)


@st.composite
def _nics(draw: st.DrawFn, nodes: list[int]) -> tuple[Pci, ...]:
    count = draw(st.sampled_from((0, 1, 2, 8, 64)))
    routed = draw(st.booleans())
    position = draw(st.lists(st.sampled_from((-1, *nodes)), min_size=count, max_size=count))
    return tuple(
        Pci(
            address=f"0000:{number + 1:02x}:00.0",
            id="8086:1572",
            subsystem="8086:0001",
            driver="i40e",
            node=node,
            group=number,
            link=(8.0, 8),
            net=Net(
                name=f"net{number:02}",
                mac=f"02:00:00:00:00:{number:02x}",
                speed=10000,
                queues=(8, 8),
                addresses=("192.0.2.2/24",) if routed and not number else (),
                gateway="192.0.2.1" if routed and not number else "",
            ),
        )
        for number, node in enumerate(position)
    )


def facts_of(host: Host) -> Facts:
    """The facts of a description made by :func:`descriptions`."""
    cpus = positions(host)
    l3 = {number: group for number, group in shared(cpus, lambda position: position.run.l3).items() if number != -1}
    l2 = shared(cpus, lambda position: position.l2)
    kinds = {position.run.kind for position in cpus if position.online}
    base = _base(host.ovs)
    return replace(
        base,
        cpus=tuple(
            _cpu(position, l2[position.l2][0], l3, len(kinds) > 1) if position.online else _offline(position)
            for position in cpus
        ),
        l3=tuple(
            sorted((L3Group(group, host.l3_kib[number]) for number, group in l3.items()), key=lambda found: found.cpus)
        ),
        processor=replace(base.processor, smt=any(len(position.siblings) > 1 for position in cpus)),
        memory=_memory(host),
        nics=tuple(_nic(function) for function in host.pci),
        system=replace(base.system, memory_available_kib=host.available_kib),
    )


@cache
def _base(ovs: str) -> Facts:
    """What all generated hosts have in common."""
    memory = (Node(total_kib=GIB, free_kib=GIB),)
    cores = (Cores(count=1, l3=-1),)
    return collect(
        build(Host(cores=cores, memory=memory, available_kib=GIB, processor=PROCESSOR, dpdk="22.11", ovs=ovs))
    )


def _cpu(position: Position, l2: int, l3: dict[int, tuple[int, ...]], hybrid: bool) -> Cpu:
    return Cpu(
        id=position.cpu,
        core=position.core_id,
        package=position.package,
        node=position.run.node,
        l2=l2,
        l3=l3[position.run.l3][0] if position.run.l3 in l3 else -1,
        siblings=position.siblings,
        kind=position.run.kind if hybrid else "",
        max_khz=position.run.max_khz,
        governor=PROCESSOR.governor,
        isolated=False,
        online=True,
    )


def _offline(position: Position) -> Cpu:
    """All that is left of a CPU that is switched off; even its node does not name it."""
    return Cpu(position.cpu, -1, -1, 0, -1, -1, (position.cpu,), "", 0, "", isolated=False, online=False)


def _memory(host: Host) -> tuple[MemoryNode, ...]:
    numbers = sorted({*(run.node for run in host.cores), *(node.node for node in host.memory)})
    return tuple(
        MemoryNode(
            node=node.node,
            total_kib=node.total_kib,
            free_kib=node.free_kib,
            hugepages=tuple(HugepagePool(size, count, count) for size, count in node.hugepages),
            distances=tuple(10 if number == node.node else 21 for number in numbers),
        )
        for node in host.memory
    )


def _nic(function: Pci) -> Nic:
    net = function.net
    assert net is not None
    assert function.link is not None
    vendor, device = function.id.split(":")
    return Nic(
        name=net.name,
        address=function.address,
        driver=function.driver,
        node=max(0, function.node),
        node_known=function.node >= 0,
        mac=net.mac,
        up=net.up,
        default_route=bool(net.gateway),
        addresses=tuple(str(ipaddress.ip_interface(address)) for address in net.addresses),
        master="",
        session=False,
        physical=True,
        vendor=vendor,
        device=device,
        subsystem=function.subsystem,
        firmware="",
        speed_mbps=net.speed,
        pcie=PcieLink(*function.link, *function.link),
        vfs_total=0,
        vfs_now=0,
        pf="",
        iommu_group=function.group,
        group_with=(),
        rx_queues=net.queues[0],
        tx_queues=net.queues[1],
    )
