"""The rates of a host as tables, or as lines for pipes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ouchi.core.plain import to_plain
from ouchi.live.rates import PortRate, Rates
from ouchi.report.page import plain_table
from ouchi.report.run.units import bits_text, rate_text, share_text
from ouchi.report.text import clean, size

SCHEMA = 1
FULL = 0.95
"""From this load on a PMD thread is shown in red, as ``ovs.pmd-load`` reports it."""
ALL_COLUMNS = 100
"""On narrower terminals ports have no bridge and no bits per second."""
WHOSE = {"ours": "ouchi's Open vSwitch", "packaged": "the distribution's Open vSwitch"}


def top_json(found: Rates) -> dict[str, Any]:
    """As plain JSON."""
    return {"schema": SCHEMA, **to_plain(found)}


def top_lines(found: Rates) -> Iterator[str]:
    """A line for each PMD thread, port and guest: what it is, its name, then ``key=value``."""
    for reason in found.failed:
        yield f"unknown {clean(reason)}"
    for pmd in found.pmds:
        yield f"pmd {pmd.cpu} busy={pmd.busy:.3f} rx_pps={pmd.rx_pps:.0f} queues={pmd.queues}"
    for port in found.ports:
        values = (f"{name}={value:.0f}" for name, value in _rates(port).items() if value is not None)
        yield " ".join((f"port {clean(port.name)}", *values))
    for guest in found.guests:
        yield f"guest {clean(guest.name)} vcpus={guest.vcpus} cpus_used={guest.cpus_used:.2f}"


def top_view(found: Rates, width: int, keys: str = "") -> RenderableType:
    """Tables below each other, in ``width`` columns; ``keys``: a last line."""
    parts: list[RenderableType] = [
        Text(f"{WHOSE.get(found.whose, 'no Open vSwitch runs')}, over {found.seconds:.1f} s", style="bold")
    ]
    parts += [Text(f"unknown: {clean(reason)}", style="yellow") for reason in found.failed]
    for table in (_pmds(found), _ports(found, bits=width >= ALL_COLUMNS), _guests(found)):
        parts += ["", table] if table.rows else []
    parts += ["", Text(keys, style="dim")] if keys else []
    return Group(*parts)


def _pmds(found: Rates) -> Table:
    table = _table(("PMD thread", "busy", "", "received", "Rx queues"), left=(0, 2))
    for pmd in found.pmds:
        bar = "█" * round(pmd.busy * 20)
        style = "red" if pmd.busy >= FULL else "cyan"
        cells = (share_text(pmd.busy), Text(f"{bar:<20}", style=style), rate_text(pmd.rx_pps), str(pmd.queues))
        table.add_row(f"CPU {pmd.cpu}, node {pmd.node}", *cells)
    return table


def _ports(found: Rates, *, bits: bool) -> Table:
    columns = (
        ("port", "bridge", "received", "", "sent", "", "dropped") if bits else ("port", "received", "sent", "dropped")
    )
    table = _table(columns, left=(0, 1) if bits else (0,))
    for port in found.ports:
        drops = [drop for drop in (port.rx_dropped_pps, port.tx_dropped_pps) if drop is not None]
        dropped = Text(rate_text(sum(drops)) if drops else "–", style="red" if sum(drops) else "")
        if not bits:
            table.add_row(clean(port.name), rate_text(port.rx_pps), rate_text(port.tx_pps), dropped)
            continue
        received, sent = ("–" if rate is None else bits_text(rate) for rate in (port.rx_bps, port.tx_bps))
        packets = rate_text(port.rx_pps), rate_text(port.tx_pps)
        table.add_row(clean(port.name), clean(port.bridge), packets[0], received, packets[1], sent, dropped)
    return table


def _guests(found: Rates) -> Table:
    table = _table(("guest", "vCPUs", "CPUs used", "hugepages"), left=(0,))
    for guest in found.guests:
        memory = size(guest.hugepages_mib * 1024) if guest.hugepages_mib is not None else "–"
        table.add_row(clean(guest.name), str(guest.vcpus), f"{guest.cpus_used:.2f}", memory)
    return table


def _table(columns: tuple[str, ...], left: tuple[int, ...]) -> Table:
    table = plain_table()
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number in left else "right", no_wrap=True)
    return table


def _rates(port: PortRate) -> dict[str, float | None]:
    names = ("rx_pps", "tx_pps", "rx_bps", "tx_bps", "rx_dropped_pps", "tx_dropped_pps")
    return {name: getattr(port, name) for name in names}
