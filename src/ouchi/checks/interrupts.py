"""Interrupts on the CPUs of polling threads and pinned vCPUs: those that arrived, and those that may."""

from __future__ import annotations

import re

from ouchi.checks.remedies import APPLY, APPLY_RESTART, fix_then
from ouchi.checks.values import Answer, Check, Mend, Trouble, holds, named, unknown, wrong
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import info, warning
from ouchi.facts.reading import cpus_of
from ouchi.live.host import MACHINE, SAMPLES, Live, mask_cpus
from ouchi.live.interrupts import Arrived, arrived
from ouchi.plan.target import Target
from ouchi.plan.values import counted, mask

TABLE = "/proc/interrupts"
FOLDER = "/proc/irq"
DROP_IN = "/run/systemd/system/irqbalance.service.d/91-ouchi.conf"
"""Gone at the next start: what lasts is apply's 90-ouchi.conf below /etc, which would hide one of the same name."""
DEFAULTS = "/etc/default/irqbalance"

OFTEN = 200
"""Calls between CPUs a second that are worth a word."""

TICKS = 20
"""Timer interrupts a second on a CPU without tick that are worth a word; it keeps one."""

STOPS = (
    "each one takes the CPU from the polling thread for some µs, and those of a disk or a network card come in bursts: "
    "moving them took one measured loss from 1 packet in 2,275 to 1 in 16 million"
)
"""The figures: fastnetmon.com, 2026-06-17."""

_FIXED = re.compile(
    r"timer|cascade|nvme\d+q[1-9]\d*|virtio\d+-req\.\d+|virtio\d+-request|mpi3mr\S*|megasas\S*|mpt3sas\S*|hpsa\S*"
)
"""Interrupts that nobody can move: the timer's, and those of disks' queues, which their drivers leave to the kernel."""


def came(live: Live, target: Target) -> Answer | None:
    """Device interrupts that really arrived during the sample."""
    quiet = target.plan.isolated
    if not quiet:
        return None
    if not live.after:
        return unknown(f"{TABLE} cannot be read")
    found = [one for one in arrived(live.before, live.after, quiet) if one.label.isdigit()]
    if not found:
        return holds(f"none on {format_cpus(quiet)} in {live.seconds:.1f} s")
    # What the kernel places itself follows who uses the device: only other programs there can be moved.
    movable = [int(one.label) for one in found if not _FIXED.fullmatch(one.name)]
    mend = _move(live, movable, target)
    finding = warning(
        f"interrupts of {counted(len(found), 'device')} arrive on {named(_cpus(found))}",
        where=TABLE,
        found="; ".join(_shown(one) for one in found[:6]) + f"; in {live.seconds:.1f} s",
        expected=f"none on {format_cpus(quiet)}",
        remedy=fix_then(APPLY_RESTART) if mend else APPLY_RESTART,
        why=STOPS,
    )
    return wrong(Trouble(finding, mend))


def between(live: Live, target: Target) -> Answer | None:
    """What CPUs and timers send each other: it cannot be moved, but much of it has a cause."""
    quiet = target.plan.isolated
    if not quiet or not live.after or live.seconds <= 0:
        return None
    kinds = [one for one in arrived(live.before, live.after, quiet) if not one.label.isdigit()]
    often = []
    for one in kinds:
        cpus = [cpu for cpu, count in one.counts.items() if count / live.seconds > _limit(live, one.label, cpu)]
        if cpus:
            rate = max(one.counts[cpu] for cpu in cpus) / live.seconds
            often.append(f"{one.label} ({one.name}): up to {rate:.0f} a second on {format_cpus(cpus)}")
    if not often:
        return holds("few")
    return wrong(
        info(
            "the kernel itself interrupts these CPUs often",
            where=TABLE,
            found="; ".join(often),
            expected=f"less than {OFTEN} a second, and {TICKS} timer interrupts where the tick is off",
            remedy="ouchi doctor: the findings on isolation and threads name what causes them",
            why="calls and TLB shootdowns come from programs that may run there, ticks from a CPU that is not alone",
        )
    )


def allowed(live: Live, target: Target) -> Answer | None:
    """Device interrupts that may arrive there."""
    quiet = set(target.plan.isolated)
    if not quiet:
        return None
    if not live.affinities:
        return unknown(f"{FOLDER} cannot be read")
    used = {int(label): line.name for label, line in live.after.items() if line.device}
    may = {irq: name for irq, name in used.items() if quiet & set(_goes(live, irq))}
    free = {irq: name for irq, name in may.items() if not _FIXED.fullmatch(name)}
    if not may:
        return holds(f"{counted(len(used), 'interrupt')} stay off {format_cpus(quiet)}")
    if not free:
        return holds(f"only {counted(len(may), 'interrupt')} of queues that the kernel places itself")
    finding = warning(
        f"{counted(len(free), 'interrupt')} may arrive on the CPUs of polling threads and pinned vCPUs",
        where=f"{FOLDER}/*/smp_affinity_list",
        found=", ".join(f"{irq} {name}" for irq, name in list(free.items())[:8])
        + (f" and {len(free) - 8} more" if len(free) > 8 else ""),
        expected=f"only on {format_cpus(target.plan.pools.host)}",
        remedy=fix_then(APPLY_RESTART),
        why=STOPS,
    )
    return wrong(Trouble(finding, _move(live, list(free), target)))


def default(live: Live, target: Target) -> Answer | None:
    """Where interrupts of devices go that appear later."""
    quiet = set(target.plan.isolated)
    if not quiet or not live.default_affinity:
        return None
    if not quiet & set(live.default_affinity):
        return holds(format_cpus(live.default_affinity))
    rest = _elsewhere(live.default_affinity, target)
    finding = warning(
        "interrupts of new devices may go to the CPUs of polling threads and pinned vCPUs",
        where=f"{FOLDER}/default_smp_affinity",
        found=format_cpus(live.default_affinity),
        expected=format_cpus(rest),
        remedy=fix_then(APPLY_RESTART),
        why=STOPS,
    )
    mend = Mend(
        f"interrupts of new devices go to {named(rest)}",
        pokes=((f"{FOLDER}/default_smp_affinity", _grouped(mask(rest))),),
    )
    return wrong(Trouble(finding, mend))


def balancer(live: Live, target: Target) -> Answer | None:
    """irqbalance, which moves interrupts wherever it was not told to keep off."""
    quiet = set(target.plan.isolated)
    if not quiet:
        return None
    if live.irqbalance is None:
        return holds("irqbalance does not run")
    if live.irqbalance.told is None:
        return unknown("only root sees what irqbalance was told: sudo ouchi doctor")
    # Without a list it leaves alone what the kernel's command line isolates (irqbalance(1)).
    if not live.irqbalance.told and quiet <= {*live.isolated, *live.nohz_full}:
        return holds("irqbalance keeps off isolated CPUs by itself")
    banned = _banned(live.irqbalance.told)
    if quiet <= banned:
        return holds(f"irqbalance keeps off {format_cpus(banned)}")
    cpus = format_cpus(quiet)
    kept = live.irqbalance.kept
    mends = target.facts.system.pid1 == "systemd" and not kept
    remedy = fix_then(APPLY) if mends else APPLY
    if kept:
        remedy = f"{kept} out of {DEFAULTS}, then: {APPLY}; systemctl restart irqbalance"
    finding = warning(
        f"irqbalance may move interrupts to {named(quiet - banned)}",
        where=DEFAULTS if kept else f"/proc/{live.irqbalance.pid}/environ",
        found=live.irqbalance.told or "it was told to leave no CPU alone",
        expected=f"IRQBALANCE_BANNED_CPULIST={cpus}",
        remedy=remedy,
        why="what was moved away by hand is back ten seconds later",
    )
    mend = Mend(
        f"irqbalance keeps off CPUs {cpus}",
        files=((DROP_IN, f'[Service]\nEnvironment="IRQBALANCE_BANNED_CPULIST={cpus}"\n'),),
        commands=(("systemctl", "daemon-reload"), ("systemctl", "restart", "irqbalance")),
    )
    return wrong(Trouble(finding, mend if mends else None))


CHECKS = (
    Check("interrupts", "no device interrupts arrive on isolated CPUs", came, (SAMPLES,)),
    Check("interrupts", "the kernel seldom interrupts isolated CPUs", between, (SAMPLES, MACHINE)),
    Check("interrupts", "no interrupt may go to isolated CPUs", allowed, (MACHINE, SAMPLES)),
    Check("interrupts", "interrupts of new devices go elsewhere", default, (MACHINE,)),
    Check("interrupts", "irqbalance keeps off isolated CPUs", balancer, (MACHINE,)),
)


def _goes(live: Live, irq: int) -> tuple[int, ...]:
    """Where an interrupt may go: what is allowed, or where the kernel sends it when it does not say."""
    return live.affinities.get(irq) or live.effective.get(irq, ())


def _move(live: Live, irqs: list[int], target: Target) -> Mend | None:
    """Send these interrupts elsewhere."""
    pokes = tuple(
        (f"{FOLDER}/{irq}/smp_affinity_list", format_cpus(_elsewhere(live.affinities.get(irq, ()), target)))
        for irq in irqs
    )
    if not pokes:
        return None
    return Mend(f"{counted(len(pokes), 'interrupt')} moved off {named(target.plan.isolated)}", pokes=pokes)


def _elsewhere(cpus: tuple[int, ...], target: Target) -> set[int]:
    """These without the isolated ones and those that are off; where nothing would be left, the host's.

    The kernel's masks have bits for CPUs that could be there, and it refuses one that has no others.
    """
    online = {cpu.id for cpu in target.facts.cpus if cpu.online}
    return set(cpus) & online - set(target.plan.isolated) or set(target.plan.pools.host)


def _limit(live: Live, label: str, cpu: int) -> int:
    """How many a second are too many: of ticks few where they are off, and any where they are not."""
    if label != "LOC":
        return OFTEN
    return TICKS if cpu in live.nohz_full else 1_000_000


def _cpus(found: list[Arrived]) -> set[int]:
    return {cpu for one in found for cpu in one.counts}


def _shown(one: Arrived) -> str:
    places = ", ".join(f"{count} on CPU {cpu}" for cpu, count in list(one.counts.items())[:4])
    return f"{one.label} {one.name}: {places}"


def _banned(told: str) -> set[int]:
    """The CPUs in irqbalance's variable: a list, or in the older one a mask."""
    key, _, value = told.partition("=")
    return set(cpus_of(value) if key.endswith("LIST") else mask_cpus(value))


def _grouped(mask: str) -> str:
    """A mask as ``/proc/irq`` takes it: words of 32 bits, commas between them."""
    digits = mask.removeprefix("0x")
    digits = digits.rjust(-(-len(digits) // 8) * 8, "0")
    return ",".join(digits[at : at + 8] for at in range(0, len(digits), 8))
