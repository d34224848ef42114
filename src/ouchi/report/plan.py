"""A plan as text: pools, memory, NICs and servers in a table, each choice with its reason; the alternatives."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ouchi.core.cpulist import format_cpus
from ouchi.plan import Alternative, GuestPlan, NicPlan, Plan
from ouchi.plan.values import counted
from ouchi.report.page import FindingText, page, plain_table


def plan_text(plan: Plan, width: int | None = None, *, colour: bool | None = False, explain: bool = False) -> str:
    """The table and the findings; ``width`` and ``colour`` as for :func:`~ouchi.report.page.page`.

    ``explain``: also the gains and costs of each alternative, and the resulting settings.
    """
    parts: list[RenderableType] = [_choices(plan)]
    if len(plan.alternatives) > 1:
        parts += ["", _alternatives(plan, explain=explain)]
    if explain:
        parts += ["", _settings(plan)]
    if plan.findings:
        parts += ["", *map(FindingText, plan.findings)]
    return page(*parts, width=width, colour=colour)


def pools_line(plan: Plan) -> str:
    """The pools in one line."""
    names = ("host", "pmd", "dedicated", "shared")
    return "  ".join(f"{name} {format_cpus(getattr(plan.pools, name)) or '-'}" for name in names)


def _choices(plan: Plan) -> Table:
    table = plain_table()
    table.add_column("what", style="bold", no_wrap=True)
    table.add_column("choice", style="cyan", max_width=24)
    table.add_column("because")
    for reason in plan.reasons:
        table.add_row(reason.topic, reason.choice, reason.because)
    if plan.nics:
        table.add_section()
    for nic in plan.nics:
        table.add_row(f"NIC {nic.name or nic.address}", _role(nic), _why_nic(nic))
    if plan.guests:
        table.add_section()
    for guest in plan.guests:
        where = f"; CPU {format_cpus(guest.cpus)}" if guest.cpus else ""
        table.add_row(f"server {guest.name}", _shape(guest), f"{guest.reason}; NUMA node {guest.node}{where}")
    return table


def _alternatives(plan: Plan, *, explain: bool) -> Table:
    table = plain_table()
    table.add_column("plan", style="bold", no_wrap=True)
    table.add_column("pmd", style="cyan", no_wrap=True)
    table.add_column("dedicated", style="cyan", max_width=18)
    table.add_column("gains and costs" if explain else "gains (costs: ouchi plan --explain)")
    for alternative in plan.alternatives:
        name = f"{alternative.name} {'✔' if alternative.chosen else ''}"
        pools = alternative.pools
        text = _weighed(alternative) if explain else Text("; ".join(alternative.gains))
        table.add_row(name, format_cpus(pools.pmd) or "-", format_cpus(pools.dedicated) or "-", text)
    return table


def _weighed(alternative: Alternative) -> Text:
    lines = [Text(f"+ {gain}", style="green") for gain in alternative.gains]
    lines += [Text(f"- {cost}", style="yellow") for cost in alternative.costs]
    return Text("\n").join(lines)


def _settings(plan: Plan) -> Table:
    """The settings of the plan, key by key."""
    table = plain_table()
    table.add_column("where", style="bold", no_wrap=True)
    table.add_column("setting")
    for key, setting in plan.ovs_other_config.items():
        table.add_row("Open_vSwitch other_config", f"{key}={setting}")
    for section, options in plan.nova.items():
        for option, value in options.items():
            for line in (value,) if isinstance(value, str) else value:
                table.add_row(f"nova.conf [{section}]", f"{option} = {line}")
    for parameter in plan.kernel_args:
        table.add_row("kernel parameter (needs a reboot)", parameter)
    return table


def _role(nic: NicPlan) -> str:
    return f"{nic.role}, {len(nic.vfs)} VFs" if nic.vfs else nic.role


def _why_nic(nic: NicPlan) -> str:
    queues = f"; PMD {format_cpus(nic.rxqs)}" if nic.rxqs else ""
    return f"{nic.reason}{queues}; DPDK: {nic.dpdk.reason}"


def _shape(guest: GuestPlan) -> str:
    return f"{counted(guest.vcpus, 'vCPU')}{', pinned' if guest.pinned else ''}, {guest.memory_mib} MiB"
