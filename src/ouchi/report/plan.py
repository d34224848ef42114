"""A plan for people: the pools as a table, each with its reason."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table

from ouchi.cpulist import format_cpus
from ouchi.plan import Plan


def plan_text(plan: Plan, width: int = 110, *, colour: bool = False) -> str:
    """The table and the findings, for a terminal of ``width`` columns."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("what", style="bold", no_wrap=True)
    table.add_column("choice", style="cyan")
    table.add_column("because")
    for reason in plan.reasons:
        table.add_row(reason.topic, reason.choice, reason.because)
    console.print(table)
    for finding in plan.findings:
        console.print(str(finding), markup=False)
    return stream.getvalue().rstrip()


def pools_line(plan: Plan) -> str:
    """The pools in one line."""
    pools = plan.pools
    named = (("host", pools.host), ("pmd", pools.pmd), ("dedicated", pools.dedicated), ("shared", pools.shared))
    return "  ".join(f"{name} {format_cpus(cpus) or '-'}" for name, cpus in named)
