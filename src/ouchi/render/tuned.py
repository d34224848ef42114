"""A tuned profile on top of tuned's own cpu-partitioning."""

from __future__ import annotations

from ouchi.cpulist import format_cpus
from ouchi.render.files import Rendered, text_file
from ouchi.render.host import Host

PATH = "etc/tuned/ouchi/tuned.conf"
PROFILE = "ouchi"

LEFT_ALONE = (
    ".*pmd.*;.*PMD.*;^DPDK;.*qemu-kvm.*;.*qemu-system.*;^contrail-vroute$;^lcore-slave-.*;^rte_mp_handle$;"
    "^rte_mp_async$;^eal-intr-thread$"
)
"""cpu-partitioning's own list of threads that tuned does not move, and QEMU as Debian and Ubuntu call it: guests'
vCPUs would be driven off their CPUs otherwise."""


def tuned(host: Host) -> tuple[Rendered, ...]:
    """The profile ``ouchi``; without CPUs to keep quiet it changes nothing beyond network-latency."""
    quiet = format_cpus(host.quiet_cpus)
    if not quiet:
        summary = "summary=ouchi: no CPU has polling threads or pinned vCPUs alone"
        only = ("[main]", summary, "include=network-latency")
        return (text_file(host, PATH, only, "Then: tuned-adm profile ouchi."),)
    lines = (
        "[main]",
        "summary=ouchi: polling threads and pinned vCPUs have their CPUs to themselves",
        "include=cpu-partitioning",
        "",
        "[variables]",
        f"isolated_cores={quiet}",
        # Written down even when it is empty: the parent profile would take tuned's own variables file otherwise.
        f"no_balance_cores={format_cpus(host.plan.isolated)}",
        "",
        "[scheduler]",
        f"ps_blacklist={LEFT_ALONE}",
        "",
        # The plan's command line is the kernel target's; two would contradict each other.
        "[bootloader]",
        "enabled=false",
    )
    return (text_file(host, PATH, lines, "Then: tuned-adm profile ouchi. The kernel's command line is left alone."),)
