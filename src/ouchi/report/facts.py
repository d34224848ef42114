"""A host's facts for people: the system, CPUs by socket and cache, memory by node, NICs with what they carry."""

from __future__ import annotations

from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from ouchi.cpulist import format_cpus
from ouchi.facts import Cpu, Facts, MemoryNode, Nic, System, physical_cores
from ouchi.report.page import page

_MACHINES = {"": "bare metal, as far as it can be told", "hypervisor": "virtual"}


def facts_text(facts: Facts, width: int | None = None, *, colour: bool | None = None) -> str:
    """The whole of it; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    return page(
        _system(facts.system), "", *_cpus(facts.cpus), "", *_memory(facts.memory), "", *_nics(facts.nics),
        width=width, colour=colour,
    )  # fmt: skip


def _system(system: System) -> Text:
    guests = "/dev/kvm is there (ouchi up tries whether a guest starts)" if system.kvm_device else "no /dev/kvm"
    rows = {
        "system": f"{system.distribution.pretty or 'unknown distribution'}, Linux {system.kernel or 'unknown'}, "
        f"{system.architecture or 'unknown architecture'}",
        "machine": _MACHINES.get(system.virtual, f"virtual ({system.virtual})"),
        "guests": guests,
        "init": system.pid1 or "unknown",
    }
    lines = [Text.assemble((f"{name:<9}", "dim"), text) for name, text in rows.items()]
    return Text("\n").join([Text(system.hostname or "a host without a name", style="bold"), *lines])


def _cpus(cpus: tuple[Cpu, ...]) -> list[Text | Table]:
    """One line for each group of cores that share an L3 cache: that is what placement goes by."""
    cores = physical_cores(cpus)
    online = {cpu.id: cpu for cpu in cpus if cpu.online}
    table = _table()
    for title in ("socket", "node", "L3 group", "speed"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("cores (each with its CPUs)")
    places = sorted((online[core.id].package, core.node, core.l3, core.cpus) for core in cores)
    for (package, node, l3), group in groupby(places, key=lambda place: place[:3]):
        listed = [core for *_, core in group]
        fastest = max(online[cpu].max_khz for core in listed for cpu in core)
        table.add_row(
            _number(package),
            str(node),
            _number(l3),
            f"{fastest / 1e6:.2f} GHz" if fastest else "-",
            Text("  ".join(format_cpus(core) for core in listed), style="cyan"),
        )
    sockets = len({cpu.package for cpu in online.values()})
    counts = (
        _counted(len(online), "CPU"), _counted(len(cores), "core"), _counted(sockets, "socket"),
        _counted(len({core.node for core in cores}), "NUMA node"),
    )  # fmt: skip
    off = format_cpus(cpu.id for cpu in cpus if not cpu.online)
    return [_title("CPUs", ", ".join(counts) + (f"; offline: {off}" if off else "")), table]


def _memory(nodes: tuple[MemoryNode, ...]) -> list[Text | Table]:
    sizes = sorted({pool.size_kib for node in nodes for pool in node.hugepages})
    table = _table()
    for title in ("node", "total", "available", *(f"hugepages of {_size(size)}" for size in sizes)):
        table.add_column(title, justify="right")
    for node in nodes:
        pools = [node.pool(size) for size in sizes]
        pages = [f"{pool.total}, {pool.free} free" if pool and pool.total else "0" if pool else "-" for pool in pools]
        table.add_row(str(node.node), _size(node.total_kib), _size(node.free_kib), *pages)
    return [_title("Memory", _size(sum(node.total_kib for node in nodes))), table]


def _nics(nics: tuple[Nic, ...]) -> list[Text | Table]:
    """The cards as a table; interfaces without a device behind them, mostly software, in a line."""
    cards = [nic for nic in nics if nic.physical]
    others = [nic for nic in nics if not nic.physical]
    table = _table()
    for title in ("name", "PCI address", "driver", "node", "link"):
        table.add_column(title, no_wrap=True)
    table.add_column("carries")
    for nic in cards:
        uses = _uses(nic)
        carried = (
            Text(", ".join(uses), style="yellow") if uses else Text("nothing: OVS-DPDK may have it", style="green")
        )
        node = str(nic.node) if nic.node_known else "?"
        table.add_row(nic.name, nic.address or "-", nic.driver or "-", node, "up" if nic.up else "down", carried)
    shown: list[Text | Table] = [_title("NICs", _counted(len(cards), "card") if cards else "no card")]
    shown += [table] if cards else []
    if others:
        named = (f"{nic.name} ({', '.join(uses)})" if (uses := _uses(nic)) else nic.name for nic in others)
        shown.append(Text.assemble(("without a device: ", "dim"), ", ".join(named)))
    return shown


def _uses(nic: Nic) -> list[str]:
    uses = ["your session"] if nic.session else []
    uses += ["the default route"] if nic.default_route else []
    return [*uses, *nic.addresses, *([f"part of {nic.master}"] if nic.master else [])]


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def _title(name: str, summary: str) -> Text:
    return Text.assemble((name, "bold"), f"  {summary}")


def _number(number: int) -> str:
    return "-" if number < 0 else str(number)


def _size(kib: int) -> str:
    """KiB as people write it: ``2 MiB``, ``23.5 GiB``."""
    for unit, name in ((1024 * 1024, "GiB"), (1024, "MiB")):
        if kib >= unit:
            return f"{kib / unit:.1f} {name}".replace(".0 ", " ")
    return f"{kib} KiB"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
