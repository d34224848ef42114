"""Interrupts on the CPUs of PMD threads and pinned vCPUs: those that arrived, and those that may."""

from __future__ import annotations

import re

from ouchi.checks.model import Fix, Level, Problem, Seen, check, named, ok, unknown
from ouchi.checks.remedies import APPLY, APPLY_REBOOT, fix_then
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import info, warning
from ouchi.facts.reading import cpus_of
from ouchi.live.host import MACHINE, SAMPLES, Live
from ouchi.live.interrupts import Line, arrived, grouped_mask, mask_cpus
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.steps import Lasts, file, sysfs

TABLE = "/proc/interrupts"
FOLDER = "/proc/irq"
DROP_IN = "/run/systemd/system/irqbalance.service.d/91-ouchi.conf"
"""Gone after a reboot: apply's 90-ouchi.conf below /etc lasts, and would override one of the same name."""
DEFAULTS = "/etc/default/irqbalance"

CALLS = 200
"""Function calls between CPUs a second that are reported. There is no published limit: chosen, and a remark only."""

TICKS = 20
"""Timer interrupts a second on a CPU without tick that are reported (chosen as above); one a second remains."""

PREEMPTED = (
    "each one takes the CPU from the PMD thread for some µs, and those of a disk or a NIC come in bursts: moving them "
    "reduced the loss of VPP at over 100 Mpps on 100 GbE from 1 packet in 2,275 to 1 in 16 million"
)
"""The figures: fastnetmon.com, 2026-06-17; Open vSwitch at 10 GbE has more time for each packet."""

_MANAGED = re.compile(
    r"timer|cascade|nvme\d+q[1-9]\d*|virtio\d+-req\.\d+|virtio\d+-request|mpi3mr\S*|megasas\S*|mpt3sas\S*|hpsa\S*"
)
"""Interrupts that cannot be moved: the timer's, and managed ones (disks' queues), which the kernel places itself."""


@check("interrupts.received", Level.LOSS, "no device interrupt arrives on the isolated CPUs", SAMPLES, essential=True)
def received(live: Live, target: Target) -> Seen | None:
    """Look for device interrupts that arrived on isolated CPUs during the sample."""
    isolated = target.plan.isolated
    if not isolated:
        return None
    if not live.after:
        return unknown(f"{TABLE} cannot be read")
    found = [one for one in arrived(live.before, live.after, isolated) if one.device]
    if not found:
        return ok(f"none on {format_cpus(isolated)} in {live.seconds:.1f} s")
    # Managed interrupts follow the users of the device: only those users can be moved.
    cpus = {cpu for one in found for cpu in one.counts}
    movable = [int(one.label) for one in found if not _MANAGED.fullmatch(one.name)]
    fix = _move(live, movable, target)
    finding = warning(
        f"interrupts of {counted(len(found), 'device')} arrive on {named(cpus)}",
        where=TABLE,
        found="; ".join(_shown(one) for one in found[:6]) + f"; in {live.seconds:.1f} s",
        expected=f"none on {format_cpus(isolated)}",
        remedy=fix_then(APPLY_REBOOT) if fix else APPLY_REBOOT,
        why=PREEMPTED,
    )
    return Problem(finding, fix)


@check("interrupts.kernel", Level.LOSS, "the kernel seldom interrupts the isolated CPUs", SAMPLES, MACHINE)
def kernel(live: Live, target: Target) -> Seen | None:
    """Count function calls between CPUs and timer ticks: they cannot be moved, but many of them have a cause."""
    isolated = target.plan.isolated
    if not isolated or not live.after or live.seconds <= 0:
        return None
    kinds = [one for one in arrived(live.before, live.after, isolated) if not one.device]
    often = []
    for one in kinds:
        cpus = [cpu for cpu, count in one.counts.items() if count / live.seconds > _limit(live, one.label, cpu)]
        if cpus:
            rate = max(one.counts[cpu] for cpu in cpus) / live.seconds
            often.append(f"{one.label} ({one.name}): up to {rate:.0f} a second on {format_cpus(cpus)}")
    if not often:
        return ok("few")
    return info(
        "the kernel itself interrupts these CPUs often",
        where=TABLE,
        found="; ".join(often),
        expected=f"less than {CALLS} a second, and {TICKS} timer interrupts where the tick is off",
        remedy="ouchi doctor: the findings of kernel.* and *-placement name what causes them",
        why="function calls and TLB shootdowns come from programs that may run there, ticks from a CPU that runs "
        "more than one thread",
    )


@check("interrupts.affinity", Level.LOSS, "no device interrupt may be sent to the isolated CPUs", MACHINE, SAMPLES)
def affinity(live: Live, target: Target) -> Seen | None:
    """Look at the affinity of each device interrupt."""
    isolated = set(target.plan.isolated)
    if not isolated:
        return None
    if not live.affinities:
        return unknown(f"{FOLDER} cannot be read")
    used = {int(label): line.name for label, line in live.after.items() if line.device}
    # Where the affinity of one cannot be read, its effective affinity counts.
    cpus = {irq: live.affinities.get(irq) or live.effective.get(irq, ()) for irq in used}
    allowed = {irq: name for irq, name in used.items() if isolated & set(cpus[irq])}
    movable = {irq: name for irq, name in allowed.items() if not _MANAGED.fullmatch(name)}
    if not allowed:
        return ok(f"{counted(len(used), 'interrupt')}, none on {format_cpus(isolated)}")
    if not movable:
        return ok(f"only {counted(len(allowed), 'managed interrupt')}, which the kernel places itself")
    finding = warning(
        f"{counted(len(movable), 'interrupt')} may be sent to the CPUs of PMD threads and pinned vCPUs",
        where=f"{FOLDER}/*/smp_affinity_list",
        found=", ".join(f"{irq} {name}" for irq, name in list(movable.items())[:8])
        + (f" and {len(movable) - 8} more" if len(movable) > 8 else ""),
        expected=f"only on {format_cpus(target.plan.pools.host)}",
        remedy=fix_then(APPLY_REBOOT),
        why=PREEMPTED,
    )
    return Problem(finding, _move(live, list(movable), target))


@check("interrupts.default-affinity", Level.LOSS, "interrupts of new devices keep off the isolated CPUs", MACHINE)
def default_affinity(live: Live, target: Target) -> Seen | None:
    """Look at the affinity that interrupts of devices get that appear later."""
    isolated = set(target.plan.isolated)
    if not isolated or not live.default_affinity:
        return None
    if not isolated & set(live.default_affinity):
        return ok(format_cpus(live.default_affinity))
    rest = _elsewhere(live.default_affinity, target)
    finding = warning(
        "interrupts of new devices may be sent to the CPUs of PMD threads and pinned vCPUs",
        where=f"{FOLDER}/default_smp_affinity",
        found=format_cpus(live.default_affinity),
        expected=format_cpus(rest),
        remedy=fix_then(APPLY_REBOOT),
        why=PREEMPTED,
    )
    fix = Fix(
        f"interrupts of new devices on {named(rest)}",
        (sysfs.value(f"{FOLDER}/default_smp_affinity", grouped_mask(rest), lasts=Lasts.REBOOT),),
    )
    return Problem(finding, fix)


@check("interrupts.irqbalance", Level.LOSS, "irqbalance keeps off the isolated CPUs", MACHINE)
def irqbalance(live: Live, target: Target) -> Seen | None:
    """Compare the CPUs that a running irqbalance is banned from with the plan."""
    isolated = set(target.plan.isolated)
    if not isolated:
        return None
    if live.irqbalance is None:
        return ok("irqbalance does not run")
    if live.irqbalance.banned is None:
        return unknown("only root sees irqbalance's environment: sudo ouchi doctor")
    # Without a list it keeps off the CPUs that the kernel command line isolates (irqbalance(1)).
    if not live.irqbalance.banned and isolated <= {*live.isolated, *live.nohz_full}:
        return ok("irqbalance keeps off isolated CPUs by default")
    banned = _banned(live.irqbalance.banned)
    if isolated <= banned:
        return ok(f"irqbalance keeps off {format_cpus(banned)}")
    cpus = format_cpus(isolated)
    overriding = live.irqbalance.default_variable
    fixable = target.facts.system.pid1 == "systemd" and not overriding
    remedy = fix_then(APPLY) if fixable else APPLY
    if overriding:
        remedy = f"remove {overriding} from {DEFAULTS}, then: {APPLY}; systemctl restart irqbalance"
    finding = warning(
        f"irqbalance may move interrupts to {named(isolated - banned)}",
        where=DEFAULTS if overriding else f"/proc/{live.irqbalance.pid}/environ",
        found=live.irqbalance.banned or "no banned CPUs",
        expected=f"IRQBALANCE_BANNED_CPULIST={cpus}",
        remedy=remedy,
        why="an interrupt that was moved by hand is back ten seconds later",
    )
    fix = Fix(
        f"irqbalance banned from CPUs {cpus}",
        (
            file.folder(DROP_IN.rpartition("/")[0], lasts=Lasts.REBOOT),
            file.file(
                DROP_IN,
                f'[Service]\nEnvironment="IRQBALANCE_BANNED_CPULIST={cpus}"\n',
                "systemd",
                "irqbalance",
                lasts=Lasts.REBOOT,
            ),
        ),
    )
    return Problem(finding, fix if fixable else None)


def _move(live: Live, irqs: list[int], target: Target) -> Fix | None:
    """Return the fix that moves interrupts off the isolated CPUs; None without interrupts."""
    if not irqs:
        return None
    cpus = {irq: format_cpus(_elsewhere(live.affinities.get(irq, ()), target)) for irq in irqs}
    changes = (sysfs.value(f"{FOLDER}/{irq}/smp_affinity_list", cpus[irq], lasts=Lasts.REBOOT) for irq in irqs)
    return Fix(f"{counted(len(irqs), 'interrupt')} moved off {named(target.plan.isolated)}", tuple(changes))


def _elsewhere(cpus: tuple[int, ...], target: Target) -> set[int]:
    """Return ``cpus`` without isolated and offline ones; where none is left, the host's.

    The kernel's masks have bits for possible CPUs, and it refuses a mask without an online one.
    """
    online = {cpu.id for cpu in target.facts.cpus if cpu.online}
    return set(cpus) & online - set(target.plan.isolated) or set(target.plan.pools.host)


def _limit(live: Live, label: str, cpu: int) -> int:
    """Return the number a second from which on a kind is reported: few ticks where they are off, else any number."""
    if label != "LOC":
        return CALLS
    return TICKS if cpu in live.nohz_full else 1_000_000


def _shown(one: Line) -> str:
    counts = ", ".join(f"{count} on CPU {cpu}" for cpu, count in list(one.counts.items())[:4])
    return f"{one.label} {one.name}: {counts}"


def _banned(variable: str) -> set[int]:
    """Return the CPUs in irqbalance's variable: a list, or in the older one a mask."""
    key, _, value = variable.partition("=")
    return set(cpus_of(value) if key.endswith("LIST") else mask_cpus(value))
