"""The CPUs of polling threads and pinned vCPUs: as fast as they can be, awake, and with nobody else on their core."""

from __future__ import annotations

from collections import defaultdict
from math import inf

from ouchi.checks.remedies import APPLY, fix_then
from ouchi.checks.values import Answer, Check, Mend, Trouble, holds, named, unknown, wrong
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import info, warning
from ouchi.live.host import MACHINE, SAMPLES, Idle, Live
from ouchi.plan import Style
from ouchi.plan.target import Target

ROOT = "/sys/devices/system/cpu"
PERFORMANCE = "performance"
SHALLOW = ("POLL", "C1", "C1_ACPI", "WFI", "haltpoll", "haltpoll idle")
"""Idle states that a CPU leaves in about a microsecond: nothing is lost by them."""

LASTING = "intel_idle.max_cstate=1 processor.max_cstate=1 on the kernel's command line, or tuned"

SLOW = (
    "a slower clock means fewer packets a second for a thread that polls, and the clock's way up takes milliseconds "
    "when a burst comes"
)
ASLEEP = "the first packets after a pause wait until the CPU is awake; what does not fit the ring meanwhile is lost"
HOT = "a CPU that is too hot is slowed at once, every thread on it together: the rate it keeps up with falls"
SPLIT = "two threads of one core share its execution units: work on the one takes up to half of the other's packets"


def working(target: Target) -> tuple[int, ...]:
    """The CPUs whose speed counts; none where the host shares them anyway, or where the plan is to save power."""
    plan = target.plan
    if plan.overlapped or plan.name == Style.POWER:
        return ()
    return tuple(sorted({*plan.pools.pmd, *plan.pools.dedicated}))


def governor(live: Live, target: Target) -> Answer | None:
    """Who chooses the clock."""
    cpus = [cpu for cpu in working(target) if cpu in live.governors]
    if not cpus:
        return None
    slow = [cpu for cpu in cpus if live.governors[cpu] != PERFORMANCE]
    if not slow:
        return holds(f"{PERFORMANCE} on {format_cpus(cpus)}")
    names = sorted({live.governors[cpu] for cpu in slow})
    mend = Mend(
        f"the governor {PERFORMANCE} on {named(slow)}",
        pokes=tuple((f"{ROOT}/cpu{cpu}/cpufreq/scaling_governor", PERFORMANCE) for cpu in slow),
    )
    finding = warning(
        f"the clock of {named(slow)} may fall",
        where=f"{ROOT}/cpu*/cpufreq/scaling_governor",
        found=f"governor {', '.join(names)}",
        expected=PERFORMANCE,
        remedy=fix_then(APPLY),
        why=SLOW,
    )
    return wrong(Trouble(finding, mend))


def idle(live: Live, target: Target) -> Answer | None:
    """Idle states that take long to leave."""
    cpus = [cpu for cpu in working(target) if cpu in live.idle]
    if not cpus:
        return None
    deep: dict[tuple[str, int], list[tuple[int, Idle]]] = defaultdict(list)
    for cpu in cpus:
        for state in live.idle[cpu]:
            if not state.disabled and state.name not in SHALLOW and state.latency_us <= _patience(live, cpu):
                deep[state.name, state.latency_us].append((cpu, state))
    if not deep:
        return holds(f"at most C1 on {format_cpus(cpus)}")
    if live.latency_us is None and not live.root:
        return unknown(
            "only root sees whether a program rules deep sleep out (/dev/cpu_dma_latency): sudo ouchi doctor"
        )
    sleepy = sorted({cpu for found in deep.values() for cpu, _ in found})
    mend = Mend(
        f"idle states deeper than C1 off on {named(sleepy)}",
        pokes=tuple(
            (f"{ROOT}/cpu{cpu}/cpuidle/state{state.number}/disable", "1")
            for found in deep.values()
            for cpu, state in found
        ),
    )
    finding = warning(
        f"{named(sleepy)} may sleep deeply",
        where=f"{ROOT}/cpu*/cpuidle",
        found=", ".join(
            f"{name} takes {latency} µs to leave" for name, latency in sorted(deep, key=lambda one: one[1])
        ),
        expected="no idle state deeper than C1",
        remedy=fix_then(LASTING),
        why=ASLEEP,
    )
    return wrong(Trouble(finding, mend))


def offline(live: Live, target: Target) -> Answer:
    """CPUs that are there and switched off.

    Not those of the kernel's own list, in which the firmware's empty places for more CPUs stand too: mainboards for
    a Ryzen have twenty of them beside its twelve.
    """
    off = [cpu.id for cpu in target.facts.cpus if not cpu.online]
    if not off:
        return holds()
    whose, remedy = {
        "off": ("SMT is off", f"echo on > {ROOT}/smt/control"),
        "forceoff": ("SMT is off until the next start", "nosmt=force off the kernel's command line, then a restart"),
    }.get(
        live.smt,
        ("switched off one by one", f"for cpu in {' '.join(map(str, off))}; do echo 1 > {ROOT}/cpu$cpu/online; done"),
    )
    return wrong(
        info(
            f"offline and in no pool: {named(off)}",
            where=f"{ROOT}/offline",
            found=whose,
            expected="all CPUs online, unless you want it so",
            remedy=remedy,
            why="a CPU more could poll or serve a guest; an idle sibling of a polling thread is no loss",
        )
    )


def siblings(_live: Live, target: Target) -> Answer | None:
    """Polling threads whose core has other work as well."""
    pools = target.plan.pools
    if target.plan.overlapped:
        return None
    others = {*pools.host, *pools.shared, *pools.dedicated} - set(pools.pmd)
    sharing = {
        cpu.id: tuple(sorted(others.intersection(cpu.siblings)))
        for cpu in target.facts.cpus
        if cpu.id in pools.pmd and others.intersection(cpu.siblings)
    }
    if not sharing:
        return holds(f"polling threads have their cores alone: {format_cpus(pools.pmd)}")
    return wrong(
        warning(
            f"polling threads share physical cores with other work: {named(sharing)}",
            where=f"{ROOT}/cpu*/topology/core_cpus_list",
            found="; ".join(f"CPU {cpu} with {format_cpus(mates)}" for cpu, mates in sharing.items()),
            expected="every thread of their cores in the pmd pool, or idle",
            remedy="cpus.pmd in your site file with whole cores, then: ouchi plan",
            why=SPLIT,
        )
    )


def heat(live: Live, target: Target) -> Answer | None:
    """How often the processor slowed itself because it was too hot, now and since it was started."""
    cpus = set(working(target)) & live.throttled.keys()
    if not cpus:
        return None
    now = {cpu for cpu in cpus if live.throttling.get(cpu, 0) > 0}
    ever = {cpu for cpu in cpus if live.throttled[cpu] > 0}
    if not ever:
        return holds("never too hot since the machine was started")
    most = max(live.throttled[cpu] for cpu in ever)
    say = warning if now else info
    return wrong(
        say(
            f"being slowed because it is too hot: {named(now)}"
            if now
            else f"slowed because it was too hot: {named(ever)}",
            where=f"{ROOT}/cpu*/thermal_throttle",
            found=f"up to {most} times since the machine was started"
            + (f", {max(live.throttling.values())} in the last {live.seconds:g} s" if now else ""),
            expected="never",
            remedy="better cooling, or a lower power limit in the firmware's setup",
            why=HOT,
        )
    )


CHECKS = (
    Check("cpus", "the clock stays up", governor, (MACHINE,)),
    Check("cpus", "no deep sleep", idle, (MACHINE,)),
    Check("cpus", "every CPU is online", offline, (MACHINE,)),
    Check("cpus", "polling threads have whole cores", siblings, ()),
    Check("cpus", "no CPU is too hot", heat, (SAMPLES,)),
)


def _patience(live: Live, cpu: int) -> float:
    """The longest, in µs, that a CPU may take to wake up: the least that anybody asks for (cpuidle_governor_latency_req)."""
    limits = (live.latency_us, live.resume_us.get(cpu))
    return min((limit for limit in limits if limit is not None), default=inf)
