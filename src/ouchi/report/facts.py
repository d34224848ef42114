"""The facts of a host as text: the system, CPUs by socket and cache, memory by node, NICs with traffic and capabilities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby

from rich.table import Table
from rich.text import Text

from ouchi.core.cpulist import format_cpus
from ouchi.facts import Core, Facts, MemoryNode, Nic, PcieLink, Processor, System, physical_cores
from ouchi.facts.dpdk import Support, support
from ouchi.facts.verdict import obstacles
from ouchi.plan.values import counted
from ouchi.report.page import page, plain_table
from ouchi.report.text import size

_MACHINES = {"": "bare metal, as far as can be seen", "hypervisor": "virtual"}
_KINDS = {"": "", "performance": "P", "efficient": "E"}


def facts_text(facts: Facts, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole of it; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    sections = (_system(facts), _cpus(facts), _memory(facts.memory), _nics(facts))
    lines = [line for section in sections for line in ("", *section)]
    return page(*lines[1:], width=width, colour=colour)


def _system(facts: Facts) -> list[Text | Table]:
    system = facts.system
    guests = "/dev/kvm exists (ouchi up tests whether a guest starts)" if system.kvm_device else "no /dev/kvm"
    secure = {None: "no UEFI Secure Boot", True: "Secure Boot on", False: "Secure Boot off"}
    rows = {
        "system": f"{system.distribution.pretty or 'unknown distribution'}, Linux {system.kernel or 'unknown'}, "
        f"{system.architecture or 'unknown architecture'}",
        "machine": _MACHINES.get(system.virtual, f"virtual ({system.virtual})"),
        "processor": _processor(facts.processor, system),
        "guests": guests,
        "boot": f"{secure[facts.boot.secure_boot]}, lockdown {facts.boot.lockdown or 'unknown'}",
        "IOMMU": facts.boot.iommu_reason,
        "cmdline": " ".join(facts.boot.parameters) or "cannot be read",
        "init": system.pid1 or "unknown",
        "network": _software(facts),
    }
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, Text(text))
    return [Text(system.hostname or "a host without a name", style="bold"), table]


def _processor(processor: Processor, system: System) -> str:
    # x86 models name their maker themselves.
    maker = processor.vendor if system.architecture == "aarch64" else ""
    named = f"{maker} {processor.model}".strip() or processor.vendor or "unknown"
    able = [processor.virtualisation or "no virtualisation", *(["1 GiB pages"] if system.pdpe1gb else [])]
    on = [state for state in processor.cstates if not state.disabled]
    if on:
        able.append(f"deepest idle state {on[-1].name} ({on[-1].latency_us} µs to leave)")
    return ", ".join([named, *able])


def _software(facts: Facts) -> str:
    ovs = f"Open vSwitch {facts.ovs_version}" if facts.ovs_version else "no Open vSwitch"
    dpdk = facts.dpdk
    if not dpdk.present:
        return f"{ovs}, no DPDK: drivers as in ouchi's table of DPDK {dpdk.table}"
    return (
        f"{ovs}, DPDK {dpdk.release or 'of an unknown release'} with {counted(len(dpdk.installed), 'network driver')}"
    )


def _cpus(facts: Facts) -> list[Text | Table]:
    """One line for each group of like cores that share an L3 cache: placement goes by these."""
    cores = physical_cores(facts.cpus)
    size_of = {group.cpus[0]: group.size_kib for group in facts.l3}
    kinds = any(core.kind for core in cores)
    table = plain_table()
    for title in ("socket", "node", "L3 group", "L3 size", "speed", *(["kind"] if kinds else [])):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("cores (each with its CPUs)")
    order = sorted(cores, key=lambda core: (core.package, core.node, core.l3, core.kind != "performance", core.id))
    for (package, node, l3, kind), group in groupby(
        order, key=lambda core: (core.package, core.node, core.l3, core.kind)
    ):
        listed = list(group)
        fastest = max(core.max_khz for core in listed)
        table.add_row(
            _number(package),
            str(node),
            _number(l3),
            size(size_of[l3]) if size_of.get(l3) else "-",
            f"{fastest / 1e6:.2f} GHz" if fastest else "-",
            *([_KINDS[kind]] if kinds else []),
            Text("  ".join(format_cpus(core.cpus) for core in listed), style="cyan"),
        )
    return [_title("CPUs", _cpu_summary(facts, cores)), table, *_clusters(cores)]


def _cpu_summary(facts: Facts, cores: tuple[Core, ...]) -> str:
    online = [cpu for cpu in facts.cpus if cpu.online]
    of_kind = [f"{sum(core.kind == kind for core in cores)} {letter}" for kind, letter in _KINDS.items() if kind]
    counts = [
        counted(len(online), "CPU"),
        counted(len(cores), "core") + (f" ({', '.join(of_kind)})" if any(core.kind for core in cores) else ""),
        counted(len({cpu.package for cpu in online}), "socket"),
        counted(len({core.node for core in cores}), "NUMA node"),
    ]
    governors = sorted({cpu.governor for cpu in online if cpu.governor})
    rest = {
        "offline": format_cpus(cpu.id for cpu in facts.cpus if not cpu.online),
        "isolated": format_cpus(cpu.id for cpu in facts.cpus if cpu.isolated),
        "governor": ", ".join(governors),
    }
    return "; ".join([", ".join(counts), *(f"{name}: {value}" for name, value in rest.items() if value)])


def _clusters(cores: tuple[Core, ...]) -> list[Text | Table]:
    """L2 caches that several cores share, as Intel's efficient cores do; nothing where each core has its own."""
    shared: dict[int, list[Core]] = {}
    for core in cores:
        if core.l2 >= 0:
            shared.setdefault(core.l2, []).append(core)
    named = [format_cpus(cpu for core in group for cpu in core.cpus) for group in shared.values() if len(group) > 1]
    return [Text.assemble(("cores that share an L2 cache: ", "dim"), "  ".join(named))] if named else []


def _memory(nodes: tuple[MemoryNode, ...]) -> list[Text | Table]:
    sizes = sorted({pool.size_kib for node in nodes for pool in node.hugepages})
    table = plain_table()
    for title in ("node", "total", "available", *(f"hugepages of {size(kib)}" for kib in sizes)):
        table.add_column(title, justify="right")
    for node in nodes:
        pools = [node.pool(kib) for kib in sizes]
        pages = [f"{pool.total}, {pool.free} free" if pool and pool.total else "0" if pool else "-" for pool in pools]
        table.add_row(str(node.node), size(node.total_kib), size(node.free_kib), *pages)
    return [_title("Memory", size(sum(node.total_kib for node in nodes))), table]


def _nics(facts: Facts) -> list[Text | Table]:
    """The traffic and the capabilities of NICs; interfaces without hardware in a line."""
    hardware = [(nic, support(nic, facts.dpdk)) for nic in facts.nics if nic.physical]
    others = [nic for nic in facts.nics if not nic.physical]
    against = {nic.address: obstacles(facts, nic) for nic, _ in hardware if nic.address}
    shown: list[Text | Table] = [_title("NICs", counted(len(hardware), "NIC") if hardware else "none")]
    shown += [_traffic(hardware, against)] if hardware else []
    if on_bus := [(nic, verdict) for nic, verdict in hardware if nic.address]:
        shown += [Text(), _capabilities(on_bus)]
        shown += _in_lines("firmware", ((nic.firmware, nic.address) for nic, _ in on_bus))
        shown += _in_lines("DPDK", ((verdict.reason, nic.address) for nic, verdict in on_bus))
        unfit = [(nic, against[nic.address]) for nic, verdict in on_bus if verdict.supported and not nic.uses]
        shown += _in_lines("not for OVS-DPDK", ((claim, nic.address) for nic, claims in unfit for claim in claims))
    if others:
        named = (f"{nic.name} ({', '.join(uses)})" if (uses := _uses(nic)) else nic.name for nic in others)
        shown.append(Text.assemble(("without a device: ", "dim"), ", ".join(named)))
    return shown


def _traffic(nics: list[tuple[Nic, Support]], against: Mapping[str, tuple[str, ...]]) -> Table:
    table = plain_table()
    for title in ("name", "PCI address", "driver", "node", "link"):
        table.add_column(title, no_wrap=True)
    table.add_column("carries")
    for nic, verdict in nics:
        node = str(nic.node) if nic.node_known else "?"
        usable = verdict.supported and not against.get(nic.address)
        free = Text("nothing: OVS-DPDK may have it", style="green") if usable else Text("nothing")
        carried = Text(", ".join(uses), style="yellow") if (uses := _uses(nic)) else free
        table.add_row(nic.name or "-", nic.address or "-", nic.driver or "-", node, _link(nic), carried)
    return table


def _capabilities(nics: list[tuple[Nic, Support]]) -> Table:
    """What the hardware and the host's DPDK make possible, by PCI address: not every function has a name."""
    table = plain_table()
    for title in ("PCI address", "ids"):
        table.add_column(title, no_wrap=True)
    for title in ("PCIe", "queues", "VFs", "IOMMU group", "DPDK"):
        table.add_column(title, overflow="fold")
    for nic, verdict in nics:
        pmd = ", ".join(filter(None, (verdict.pmd, verdict.kmod)))
        table.add_row(
            nic.address,
            f"{nic.vendor or '?'}:{nic.device or '?'}",
            _pcie(nic.pcie),
            _queues(nic),
            f"of {nic.pf}" if nic.pf else f"{nic.vfs_now} of {nic.vfs_total}" if nic.vfs_total else "-",
            _group(nic),
            Text(pmd, style="green") if verdict.supported else Text("no", style="yellow"),
        )
    return table


def _in_lines(what: str, of_each: Iterable[tuple[str, str]]) -> list[Text]:
    """Texts that are too long for a table, each once for all the NICs that have it."""
    addresses: dict[str, list[str]] = {}
    for text, address in of_each:
        addresses.setdefault(text, []).append(address)
    return [Text.assemble((f"{what} of {', '.join(on)}: ", "dim"), text) for text, on in addresses.items() if text]


def _queues(nic: Nic) -> str:
    if nic.rx_queues == nic.tx_queues:
        return str(nic.rx_queues) if nic.rx_queues else "-"
    return f"{nic.rx_queues} rx, {nic.tx_queues} tx"


def _link(nic: Nic) -> str:
    if not nic.name:
        return "-"
    speed = f", {nic.speed_mbps / 1000:g} Gb/s" if nic.up and nic.speed_mbps else ""
    return ("up" if nic.up else "down") + speed


def _pcie(link: PcieLink | None) -> Text | str:
    """The link as it is, and at best where that is more."""
    if link is None:
        return "-"
    now, best = _lanes(link.speed_gts, link.width), _lanes(link.max_speed_gts, link.max_width)
    less = link.speed_gts * link.width < link.max_speed_gts * link.max_width
    return Text(f"{now} of {best}", style="yellow") if less and link.width else now


def _lanes(speed_gts: float, width: int) -> str:
    return f"{speed_gts:g} GT/s ×{width}" if speed_gts and width else "?"


def _group(nic: Nic) -> str:
    if nic.iommu_group < 0:
        return "-"
    return f"{nic.iommu_group}" + (f" with {', '.join(nic.group_with)}" if nic.group_with else ", alone")


def _uses(nic: Nic) -> list[str]:
    """What it carries, as the objects of "carries"."""
    return [re.sub(r"^(carries|has the address|is) ", "", use) for use in nic.uses]


def _title(name: str, summary: str) -> Text:
    return Text.assemble((name, "bold"), f"  {summary}")


def _number(number: int) -> str:
    return "-" if number < 0 else str(number)
