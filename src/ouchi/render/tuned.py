"""A tuned profile on top of tuned's own cpu-partitioning."""

from __future__ import annotations

from ouchi.core.cpulist import format_cpus
from ouchi.plan.target import Target
from ouchi.render.files import Rendered, text_file

FOLDER = "etc/tuned"
"""Of the administrator's profiles; ``etc/tuned/profiles`` since tuned 2.23."""
PROFILE = "ouchi"

LEFT_ALONE = (
    ".*pmd.*;.*PMD.*;^DPDK;.*qemu-kvm.*;.*qemu-system.*;^contrail-vroute$;^lcore-slave-.*;^rte_mp_handle$;"
    "^rte_mp_async$;^eal-intr-thread$"
)
"""cpu-partitioning's own list of threads that tuned does not move, and QEMU as Debian and Ubuntu call it: guests'
vCPUs would be driven off their CPUs otherwise."""


def tuned(target: Target, folder: str = FOLDER) -> Rendered:
    """The profile ``ouchi``; without isolated CPUs it adds nothing to network-latency."""
    path = f"{folder}/{PROFILE}/tuned.conf"
    isolated = format_cpus(target.isolated_cpus)
    if not isolated:
        summary = "summary=ouchi: no CPU has PMD threads or pinned vCPUs alone"
        only = ("[main]", summary, "include=network-latency")
        return text_file(target, path, only, "Then: tuned-adm profile ouchi.")
    lines = (
        "[main]",
        "summary=ouchi: PMD threads and pinned vCPUs have their CPUs to themselves",
        "include=cpu-partitioning",
        "",
        "[variables]",
        f"isolated_cores={isolated}",
        # Written down even when it is empty: the parent profile would take tuned's own variables file otherwise.
        f"no_balance_cores={format_cpus(target.plan.isolated)}",
        "",
        "[scheduler]",
        f"ps_blacklist={LEFT_ALONE}",
        "",
        # These are the kernel's, systemd's and irqbalance's own targets; two would contradict each other. systemd joins
        # the CPUs of its files, so services would get those of unpinned guests as well.
        *(line for unit in ("bootloader", "systemd", "irqbalance") for line in (f"[{unit}]", "enabled=false", "")),
    )
    return text_file(
        target,
        path,
        lines[:-1],
        "tuned 2.23 and later (Debian 13) has it in /etc/tuned/profiles/ouchi. Then: tuned-adm profile ouchi.",
        "The kernel's command line and the CPUs of services and interrupts are left alone.",
    )
