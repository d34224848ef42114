"""A plan for people: the pools and servers as a table, each choice with its reason."""

from __future__ import annotations

from rich import box
from rich.table import Table

from ouchi.cpulist import format_cpus
from ouchi.plan import GuestPlan, Plan
from ouchi.report.page import finding_text, page


def plan_text(plan: Plan, width: int | None = None, *, colour: bool | None = False) -> str:
    """The table and the findings; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("what", style="bold", no_wrap=True)
    table.add_column("choice", style="cyan", max_width=24)
    table.add_column("because")
    for reason in plan.reasons:
        table.add_row(reason.topic, reason.choice, reason.because)
    if plan.guests:
        table.add_section()
    for guest in plan.guests:
        table.add_row(f"server {guest.name}", _shape(guest), f"{guest.reason}; NUMA node {guest.node}")
    findings = map(finding_text, plan.findings)
    between = [""] if plan.findings else []
    return page(table, *between, *findings, width=width, colour=colour)


def _shape(guest: GuestPlan) -> str:
    vcpus = "1 vCPU" if guest.vcpus == 1 else f"{guest.vcpus} vCPUs"
    return f"{vcpus}{', pinned' if guest.pinned else ''}, {guest.memory_mib} MiB"


def pools_line(plan: Plan) -> str:
    """The pools in one line."""
    pools = plan.pools
    named = (("host", pools.host), ("pmd", pools.pmd), ("dedicated", pools.dedicated), ("shared", pools.shared))
    return "  ".join(f"{name} {format_cpus(cpus) or '-'}" for name, cpus in named)
