"""Kernel parameters: what keeps the kernel's own work off the CPUs of PMD threads and pinned vCPUs."""

from __future__ import annotations

from ouchi.checks.model import Fix, Level, Observation, Problem, Seen, check, judge, named, ok, unknown
from ouchi.checks.remedies import APPLY_REBOOT, REBOOT, fix_then
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, info, warning
from ouchi.facts.reading import cpus_of
from ouchi.live.cmdline import PAGES, cpus_in, isolated_in, key_of, parts_of, value_of
from ouchi.live.host import MACHINE, Live
from ouchi.live.interrupts import grouped_mask, mask_cpus
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.steps import Lasts, sysfs

WORKQUEUES = "/sys/devices/virtual/workqueue/cpumask"
WATCHDOG = "/proc/sys/kernel/watchdog_cpumask"
NUMA_BALANCING = "/proc/sys/kernel/numa_balancing"
CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
"""Those of drivers/clocksource/acpi_pm.c and arch/x86/kernel/hpet.c, and the kernel's last resort."""

STOPPED = (
    "while another program runs on its CPU a PMD thread receives nothing: a ring of 2048 is full after 0.14 ms at "
    "14.88 Mpps"
)
"""2048 descriptors / 14.88 Mpps (64-byte frames at 10 Gbit/s)."""

PARAMETERS = {
    "rcu_nocbs": "RCU callbacks run on those CPUs, between packets",
    "irqaffinity": "interrupts of devices that appear later may be sent to those CPUs",
    "iommu": "vfio-pci needs the IOMMU; without iommu=pt the kernel's own devices are translated as well",
    "intel_iommu": "vfio-pci needs the IOMMU, and Intel's is off without this parameter",
}


@check("kernel.isolation", Level.LOSS, "the scheduler keeps off exactly the planned CPUs", MACHINE)
def isolation(live: Live, target: Target) -> Observation | None:
    """Compare the isolated CPUs with the plan: none missing, and none of those that must share their work."""
    planned, pools = set(target.plan.isolated), target.plan.pools
    if not planned:
        return None
    found = set(live.isolated)
    problems = []
    if missing := planned - found:
        claim = f"the scheduler may place any thread on {named(missing)} of PMD threads and pinned vCPUs"
        problems.append(_isolated(live, target, claim, STOPPED))
    if crowded := found & {*pools.host, *pools.shared}:
        claim = f"the scheduler does not balance {named(crowded)} of the host and of floating vCPUs"
        why = "the scheduler does not balance threads between isolated CPUs: they crowd on one while the others idle"
        problems.append(_isolated(live, target, claim, why))
    return judge(problems, format_cpus(found))


@check("kernel.nohz-full", Level.LOSS, "the scheduler's tick stops on the isolated CPUs", MACHINE)
def nohz_full(live: Live, target: Target) -> Seen | None:
    """Compare the CPUs on which the tick stops while one thread runs with the plan."""
    planned = target.plan.isolated
    if not planned:
        return None
    missing = set(planned) - set(live.nohz_full)
    if not missing:
        return ok(format_cpus(live.nohz_full))
    requested = value_of(target.facts.boot.parameters, "nohz_full")
    ignored = requested is not None and not live.nohz_full
    return warning(
        "the kernel ignores nohz_full on its command line"
        if ignored
        else f"the scheduler's tick does not stop on {named(missing)}",
        where="/sys/devices/system/cpu/nohz_full",
        found=format_cpus(live.nohz_full) or "no CPU without tick",
        expected=format_cpus(planned),
        remedy="a kernel with CONFIG_NO_HZ_FULL" if ignored else _remedy(live, target),
        why="the scheduler's tick interrupts a PMD thread or a vCPU up to a thousand times a second, some µs each",
    )


@check("kernel.parameters", Level.LOSS, "the kernel command line has the plan's other parameters", MACHINE)
def parameters(live: Live, target: Target) -> Seen | None:
    """Compare the remaining kernel parameters with the plan; those for hugepages belong to ``memory``."""
    planned = [word for word in target.plan.kernel_args if key_of(word) not in ("isolcpus", "nohz_full", *PAGES)]
    if not planned:
        return None
    found = target.facts.boot.parameters
    missing = [word for word in planned if not _given(word, target)]
    if not missing:
        return ok(" ".join(planned))
    return warning(
        f"kernel parameters of the plan are missing: {' '.join(missing)}",
        where="/proc/cmdline",
        found=" ".join(word for word in found if key_of(word) in {key_of(one) for one in missing}) or "none of them",
        expected=" ".join(planned),
        remedy=_remedy(live, target),
        why="; ".join(dict.fromkeys(PARAMETERS[key_of(word)] for word in missing if key_of(word) in PARAMETERS)),
    )


@check("kernel.reboot-pending", Level.LOSS, "no reboot is pending for kernel parameters", MACHINE)
def reboot_pending(live: Live, target: Target) -> Seen | None:
    """Look for planned parameters that the boot loader has and the running kernel lacks."""
    missing = _missing(target)
    if not missing:
        return None if not target.plan.isolated else ok("the running kernel has every parameter of the plan")
    if live.grub is None:
        return unknown(
            "no /boot/grub/grub.cfg" if live.root else "only root may read /boot/grub/grub.cfg: sudo ouchi doctor"
        )
    if not set(missing) <= live.grub:
        return ok("the boot loader has no parameter that the running kernel lacks")
    return warning(
        "the host has not been rebooted since its kernel command line was changed",
        where="/boot/grub/grub.cfg",
        found=f"the running kernel was booted without {' '.join(missing)}",
        expected="a kernel that was booted with the boot loader's command line",
        remedy=REBOOT,
        why=STOPPED,
    )


@check("kernel.workqueues", Level.LOSS, "unbound kernel work keeps off the isolated CPUs", MACHINE)
def workqueues(live: Live, target: Target) -> Seen | None:
    """Compare the CPUs of unbound workqueues with those that are isolated; a boot with ``isolcpus`` leaves these out."""
    isolated = set(target.plan.isolated) & set(live.isolated)
    if not isolated or WORKQUEUES not in live.settings:
        return None
    cpus = set(mask_cpus(live.settings[WORKQUEUES]))
    if not isolated & cpus:
        return ok(format_cpus(cpus))
    rest = set(target.plan.pools.host)
    finding = warning(
        f"unbound workqueues may run on {named(isolated & cpus)}",
        where=WORKQUEUES,
        found=format_cpus(cpus),
        expected=format_cpus(rest),
        remedy=fix_then("remove what sets it after the boot, or tuned with cpu-partitioning"),
        why="their workers are bound to the CPUs of a cache or NUMA node in this mask: where all of these are isolated, "
        "work runs there, for as long as an item takes",
    )
    change = sysfs.value(WORKQUEUES, grouped_mask(rest), lasts=Lasts.REBOOT)
    return Problem(finding, Fix(f"unbound workqueues on {named(rest)}", (change,)))


@check("kernel.watchdog", Level.LOSS, "the lockup watchdog keeps off the isolated CPUs", MACHINE)
def watchdog(live: Live, target: Target) -> Seen | None:
    """Compare the CPUs of the lockup detectors with those that are isolated; with ``nohz_full`` these are left out."""
    isolated = set(target.plan.isolated) & set(live.nohz_full)
    cpus = set(cpus_of(live.settings.get(WATCHDOG, "")))
    if not isolated or not cpus:
        return None
    names = [name for name in ("nmi_watchdog", "soft_watchdog") if live.settings.get(f"/proc/sys/kernel/{name}") == "1"]
    if not names or not isolated & cpus:
        return ok(f"on {format_cpus(cpus)}" if names else "off")
    return info(
        f"the lockup watchdog runs on {named(isolated & cpus)}",
        where=WATCHDOG,
        found=f"{format_cpus(cpus)}; on: {', '.join(names)}",
        expected=format_cpus(set(cpus) - isolated),
        remedy=f"sysctl kernel.watchdog_cpumask={format_cpus(cpus - isolated or target.plan.pools.host)}",
        why="it needs timer interrupts on its CPUs, which nohz_full is to stop",
    )


@check("kernel.numa-balancing", Level.LOSS, "the kernel moves no memory between NUMA nodes", MACHINE)
def numa_balancing(live: Live, target: Target) -> Seen | None:
    """Look at automatic NUMA balancing on a host with several nodes; hugepages are not moved, all other memory may be.

    The kernel's documents (admin-guide/sysctl/kernel.rst) say to disable it where the work is bound to nodes, as tuned's
    profile cpu-partitioning does. The values: 0 off, 1 between nodes, 2 between tiers of memory only.
    """
    nodes = [node.node for node in target.facts.memory if node.total_kib]
    value = live.settings.get(NUMA_BALANCING, "")
    if len(nodes) < 2 or not value.isdigit():
        return None
    if not int(value) & 1:
        return ok("off")
    return info(
        f"the kernel balances memory between {counted(len(nodes), 'NUMA node')}",
        where=NUMA_BALANCING,
        found=value,
        expected="0",
        remedy="sysctl kernel.numa_balancing=0; permanently: echo kernel.numa_balancing=0 > /etc/sysctl.d/90-numa.conf",
        why="to see who uses a page it takes it away now and then: the page fault that follows, and the interrupts that "
        "tell other CPUs of it, take some µs from PMD threads and vCPUs, whose memory is on its node anyway",
    )


@check("kernel.clocksource", Level.LOSS, "the kernel's clock is the CPU's own", MACHINE)
def clocksource(live: Live, _target: Target) -> Seen | None:
    """Look for a clock that is read from a device (HPET, ACPI timer) after the kernel gave up the TSC."""
    clock = live.settings.get(CLOCK, "")
    if not clock:
        return None
    if clock not in SLOW_CLOCKS:
        return ok(clock)
    return warning(
        "the kernel reads the time from a device instead of the CPU",
        where=CLOCK,
        found=clock,
        expected="tsc",
        remedy="dmesg | grep -i -e tsc -e clocksource, which shows why; then the firmware's update or setup",
        why="each reading of the time is then a system call that waits for a device; PMD threads and guests read it all "
        "the time",
    )


def _isolated(live: Live, target: Target, claim: str, why: str) -> Finding:
    return warning(
        claim,
        where="/sys/devices/system/cpu/isolated",
        found=format_cpus(live.isolated) or "no CPU is isolated",
        expected=format_cpus(target.plan.isolated),
        remedy=_remedy(live, target),
        why=why,
    )


def _missing(target: Target) -> list[str]:
    """Return the planned parameters that the running kernel was booted without, those for hugepages left out."""
    return [word for word in target.plan.kernel_args if key_of(word) not in PAGES and not _given(word, target)]


def _remedy(live: Live, target: Target) -> str:
    missing = _missing(target)
    return REBOOT if missing and live.grub is not None and set(missing) <= live.grub else APPLY_REBOOT


def _given(word: str, target: Target) -> bool:
    """Return whether the running kernel was booted with a planned parameter, or with an equivalent."""
    found, isolated = target.facts.boot.parameters, set(target.plan.isolated)
    last = max(cpu.id for cpu in target.facts.cpus)
    key = key_of(word)
    value = value_of(found, key)
    match key:
        case "isolcpus":
            return isolated <= isolated_in(value or "", last)
        case "nohz_full":
            return isolated <= cpus_in(value or "", last)
        case "rcu_nocbs":  # nohz_full implies it
            return any(isolated <= cpus_in(value_of(found, one) or "", last) for one in (key, "nohz_full"))
        case "irqaffinity":  # any subset of the other CPUs will do
            return bool(cpus := cpus_in(value or "", last)) and not isolated & cpus
        case "iommu":
            return word in found or "pt" in parts_of(found, key) or "iommu.passthrough=1" in found
        case "intel_iommu":  # on by default in kernels with CONFIG_INTEL_IOMMU_DEFAULT_ON
            return target.facts.boot.iommu or "on" in parts_of(found, key)
    return word in found
