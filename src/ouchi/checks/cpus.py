"""The CPUs of PMD threads and pinned vCPUs: at full clock, awake, and with no other work on their cores."""

from __future__ import annotations

from collections import defaultdict
from math import inf

from ouchi.checks.model import Fix, Level, Problem, Seen, check, judge, named, ok, unknown
from ouchi.checks.remedies import APPLY, APPLY_REBOOT, fix_then
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, info, warning
from ouchi.live.cpus import Idle
from ouchi.live.host import MACHINE, SAMPLES, SWITCH, Live
from ouchi.live.scheduling import REALTIME, Scheduling
from ouchi.live.sections import numbers
from ouchi.live.threads import Thread, family, listed
from ouchi.plan import Style
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.steps import Lasts, sysfs

ROOT = "/sys/devices/system/cpu"
PERFORMANCE = "performance"
SHALLOW = ("POLL", "C1", "C1_ACPI", "WFI", "haltpoll", "haltpoll idle")
"""Idle states with an exit latency of about a microsecond, which loses nothing."""

RING_SECONDS = 2048 / 14.88e6
"""How long a ring of 2048 descriptors (Open vSwitch's n_rxq_desc) lasts at 10 Gbit/s of 64-byte frames: 0.14 ms."""
CLOCK = "a PMD thread at a lower clock forwards fewer packets a second"
RT_RUNTIME = "/proc/sys/kernel/sched_rt_runtime_us"
WITHOUT_THROTTLING = (6, 12)
"""Linux since when real-time threads stop for others that wait only (commit 5f6bd380c7bd, "Remove default bandwidth
control"): ``cpus.run-delay`` finds that."""
SLEEPING = ("pmd-sleep-max", "pmd-maxsleep")
"""Keys with which PMD threads sleep when they are idle (Open vSwitch 3.2, 3.1: topics/dpdk/pmd.rst)."""


def performance_cpus(target: Target) -> tuple[int, ...]:
    """Return the CPUs that need their full clock: none where pools overlap or the plan is to save power."""
    plan = target.plan
    if plan.overlapped or plan.name == Style.POWER:
        return ()
    return tuple(sorted({*plan.pools.pmd, *plan.pools.dedicated}))


def idle_cpus(live: Live, target: Target) -> tuple[int, ...]:
    """Return the CPUs that must wake up at once: those of pinned vCPUs, and of PMD threads that sleep when idle.

    A PMD thread that does not sleep never lets its CPU idle. Where the plan is to save power only sleeping PMD threads
    count.
    """
    plan = target.plan
    if plan.overlapped:
        return ()
    polling = plan.pools.pmd if _pmds_sleep(live) else ()
    return polling if plan.name == Style.POWER else tuple(sorted({*polling, *plan.pools.dedicated}))


def _pmds_sleep(live: Live) -> bool:
    return any(live.switch.other_config.get(key, "0") != "0" for key in SLEEPING)


@check("cpus.governor", Level.LOSS, "the cpufreq governor keeps the full clock", MACHINE)
def governor(live: Live, target: Target) -> Seen | None:
    """Look for cpufreq governors other than ``performance``."""
    cpus = [cpu for cpu in performance_cpus(target) if cpu in live.governors]
    if not cpus:
        return None
    slow = [cpu for cpu in cpus if live.governors[cpu] != PERFORMANCE]
    if not slow:
        return ok(f"{PERFORMANCE} on {format_cpus(cpus)}")
    names = sorted({live.governors[cpu] for cpu in slow})
    fix = Fix(
        f"governor {PERFORMANCE} on {named(slow)}",
        tuple(
            sysfs.value(f"{ROOT}/cpu{cpu}/cpufreq/scaling_governor", PERFORMANCE, lasts=Lasts.REBOOT) for cpu in slow
        ),
    )
    finding = warning(
        f"the governor of {named(slow)} may lower the clock",
        where=f"{ROOT}/cpu*/cpufreq/scaling_governor",
        found=f"governor {', '.join(names)}",
        expected=PERFORMANCE,
        remedy=fix_then(APPLY),
        why="a PMD thread at a lower clock forwards fewer packets a second, and raising the clock takes ms when a "
        "burst comes",
    )
    return Problem(finding, fix)


@check("cpus.clock-limit", Level.LOSS, "no limit keeps the clock below its highest", MACHINE)
def clock_limit(live: Live, target: Target) -> Seen | None:
    """Look for CPUs whose highest clock is limited, and for boost that is off.

    The preference for energy (EPP) is not looked at: with the governor ``performance`` the kernel sets it and refuses
    other values (admin-guide/pm/intel_pstate.rst).
    """
    cpus = [cpu for cpu in performance_cpus(target) if cpu in live.clocks]
    if not cpus:
        return None
    low = [cpu for cpu in cpus if live.clocks[cpu][0] < live.clocks[cpu][1]]
    problems: list[Problem | Finding] = []
    if low:
        limit, most = min(live.clocks[cpu] for cpu in low)
        fix = Fix(
            f"no limit of the clock of {named(low)}",
            tuple(
                sysfs.value(f"{ROOT}/cpu{cpu}/cpufreq/scaling_max_freq", str(live.clocks[cpu][1]), lasts=Lasts.REBOOT)
                for cpu in low
            ),
        )
        finding = warning(
            f"the clock of {named(low)} is limited",
            where=f"{ROOT}/cpu*/cpufreq/scaling_max_freq",
            found=f"{limit / 1e6:.2f} of {most / 1e6:.2f} GHz",
            expected="cpuinfo_max_freq",
            remedy=fix_then("remove what sets it: tuned, cpupower, TLP"),
            why=CLOCK,
        )
        problems.append(Problem(finding, fix))
    if live.boost is False:
        problems.append(
            info(
                "CPUs may not exceed their base clock",
                where=f"{ROOT}/cpufreq/boost, {ROOT}/intel_pstate/no_turbo",
                found="boost is off",
                expected="on, unless you want equal figures at each measurement",
                remedy=f"echo 1 > {ROOT}/cpufreq/boost, or with intel_pstate: echo 0 > {ROOT}/intel_pstate/no_turbo; or "
                "the firmware's setup",
                why=CLOCK,
            )
        )
    return judge(problems, f"up to {max(live.clocks[cpu][1] for cpu in cpus) / 1e6:.2f} GHz")


@check("cpus.idle-states", Level.LOSS, "no idle state deeper than C1 is enabled", MACHINE, SWITCH)
def idle_states(live: Live, target: Target) -> Seen | None:
    """Look for enabled idle states with a long exit latency that no latency request rules out."""
    cpus = [cpu for cpu in idle_cpus(live, target) if cpu in live.idle]
    if not cpus:
        return None
    deep: dict[tuple[str, int], list[tuple[int, Idle]]] = defaultdict(list)
    for cpu in cpus:
        for state in live.idle[cpu]:
            if not state.disabled and state.name not in SHALLOW and state.latency_us <= _latency_limit(live, cpu):
                deep[state.name, state.latency_us].append((cpu, state))
    if not deep:
        return ok(f"at most C1 on {format_cpus(cpus)}")
    if live.latency_us is None and not live.root:
        return unknown(
            "only root sees whether a program rules deep idle states out (/dev/cpu_dma_latency): sudo ouchi doctor"
        )
    affected = sorted({cpu for found in deep.values() for cpu, _ in found})
    fix = Fix(
        f"idle states deeper than C1 disabled on {named(affected)}",
        tuple(
            sysfs.value(f"{ROOT}/cpu{cpu}/cpuidle/state{state.number}/disable", "1", lasts=Lasts.REBOOT)
            for found in deep.values()
            for cpu, state in found
        ),
    )
    saving = target.plan.name == Style.POWER  # which the user asked for
    finding = (info if saving else warning)(
        f"{named(affected)} may enter deep idle states",
        where=f"{ROOT}/cpu*/cpuidle",
        found=", ".join(
            f"{name} with {latency} µs exit latency" for name, latency in sorted(deep, key=lambda one: one[1])
        ),
        expected="no idle state deeper than C1",
        remedy=fix_then("kernel parameters intel_idle.max_cstate=1 processor.max_cstate=1, or tuned"),
        why="the first packets after a pause wait until the CPU is awake; those that do not fit the ring meanwhile "
        "are lost",
    )
    return Problem(finding, None if saving else fix)


@check("cpus.online", Level.LOSS, "every CPU is online", MACHINE)
def online(live: Live, target: Target) -> Seen:
    """Look for CPUs that are present and offline.

    The kernel's list of possible CPUs is not used: it includes the firmware's empty slots, twenty of them on mainboards
    for a twelve-CPU Ryzen.
    """
    offline = [cpu.id for cpu in target.facts.cpus if not cpu.online]
    if not offline:
        return ok()
    cause, remedy = {
        "off": ("SMT is off", f"echo on > {ROOT}/smt/control"),
        "forceoff": (
            "SMT is off until the next reboot",
            "remove the kernel parameter nosmt=force, then reboot the host",
        ),
    }.get(
        live.smt,
        ("offline one by one", f"for cpu in {' '.join(map(str, offline))}; do echo 1 > {ROOT}/cpu$cpu/online; done"),
    )
    return info(
        f"offline and in no pool: {named(offline)}",
        where=f"{ROOT}/offline",
        found=cause,
        expected="all CPUs online, unless you want them off",
        remedy=remedy,
        why="another CPU could poll or run a vCPU; an offline SMT sibling of a PMD thread is no loss",
    )


@check("cpus.whole-cores", Level.LOSS, "PMD threads have whole cores")
def whole_cores(_live: Live, target: Target) -> Seen | None:
    """Look for PMD threads whose SMT sibling has other work."""
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
        return ok(f"no other pool on the cores of {format_cpus(pools.pmd)}")
    return warning(
        f"PMD threads share cores with other work: {named(sharing)}",
        where=f"{ROOT}/cpu*/topology/core_cpus_list",
        found="; ".join(f"CPU {cpu} with {format_cpus(mates)}" for cpu, mates in sharing.items()),
        expected="every CPU of their cores in the pmd pool, or idle",
        remedy="cpus.pmd in your site file with whole cores, then: ouchi plan",
        why="SMT siblings share a core's execution units: work on one takes up to half of the other's packet rate",
    )


@check("cpus.throttling", Level.LOSS, "no CPU is throttled for its temperature", SAMPLES)
def throttling(live: Live, target: Target) -> Seen | None:
    """Look at the thermal throttle counters since boot, and at their rise during the sample."""
    cpus = set(performance_cpus(target)) & live.throttled.keys()
    if not cpus:
        return None
    now = {cpu for cpu in cpus if live.throttling.get(cpu, 0) > 0}
    ever = {cpu for cpu in cpus if live.throttled[cpu] > 0}
    if not ever:
        return ok("never throttled since boot")
    most = max(live.throttled[cpu] for cpu in ever)
    severity = warning if now else info
    return severity(
        f"throttled for temperature now: {named(now)}" if now else f"throttled for temperature: {named(ever)}",
        where=f"{ROOT}/cpu*/thermal_throttle",
        found=f"up to {most} times since boot"
        + (f", {max(live.throttling.values())} in the last {live.seconds:g} s" if now else ""),
        expected="never",
        remedy="better cooling, or a lower power limit in the firmware's setup",
        why="thermal throttling lowers the clock of every thread on the CPU, and with it the rate that they can "
        "forward",
    )


@check("cpus.other-threads", Level.LOSS, "no other program may run on the isolated CPUs", MACHINE, SWITCH)
def other_threads(live: Live, target: Target) -> Seen | None:
    """Look for threads of other programs whose affinity includes isolated CPUs; kernel threads are left out."""
    isolated = set(target.plan.isolated)
    if not isolated:
        return None
    if not live.threads:
        return unknown("/proc shows no threads")
    own = family(live.threads, live.scripts)
    expected = {live.switch.pid, *(guest.pid for guest in live.guests if guest.ours), *own}
    found = [one for one in live.threads if not one.kernel and one.pid not in expected and isolated & set(one.cpus)]
    if not found:
        return ok("only PMD threads and vCPUs")
    programs = {one.pid for one in found}
    return warning(
        f"{counted(len(found), 'thread')} of {counted(len(programs), 'other program')} may run on {named(isolated)}",
        where="/proc/*/task/*/status",
        found=listed(one.name for one in found),
        expected="PMD threads and vCPUs only",
        remedy=APPLY_REBOOT,
        why="any program that runs there takes the CPU from a PMD thread or a vCPU for milliseconds at a time",
    )


@check(
    "cpus.run-delay", Level.LOSS, "PMD threads and pinned vCPUs do not wait for their CPUs", SAMPLES, MACHINE, SWITCH
)
def run_delay(live: Live, target: Target) -> Seen | None:
    """Look at the time that each of these threads was runnable and waited during the sample.

    A PMD thread that does not sleep waits only when another thread takes its CPU, so all of its delay counts. A vCPU
    (and a PMD thread that sleeps) also waits for some µs after each wake-up: there the mean wait counts.
    """
    guests = {guest.pid for guest in live.guests if guest.ours}
    threads = [
        thread
        for thread in live.threads
        if (thread.pmd is not None and thread.pid == live.switch.pid)
        or (thread.vcpu and thread.pid in guests and len(thread.cpus) == 1)
    ]
    if not threads:
        return None
    seen = [(thread, live.scheduling[thread.tid]) for thread in threads if thread.tid in live.scheduling]
    if not seen:
        return unknown("/proc/PID/task/TID/schedstat cannot be read")
    sleeps = _pmds_sleep(live)
    waiting = [(thread, wait) for thread, one in seen if (wait := _wait(live, thread, one, sleeps=sleeps))]
    if not waiting:
        return ok(f"{counted(len(seen), 'thread')}, less than {RING_SECONDS * 1000:.2f} ms in {live.seconds:.1f} s")
    # With too few cores the plan shares the CPU: what it costs is shown, and is as planned.
    overlapped = target.plan.overlapped
    return (info if overlapped else warning)(
        f"{counted(len(waiting), 'thread')} of PMD and pinned vCPUs waited for their CPUs",
        where="/proc/PID/task/TID/schedstat",
        found="; ".join(f"{thread.name}: {wait}" for thread, wait in waiting[:6]),
        expected=f"less than {RING_SECONDS * 1000:.2f} ms: a ring of 2048 is full then at 14.88 Mpps",
        remedy="more cores: the plan has PMD threads share their CPU here"
        if overlapped
        else "ps -eLo psr,cls,pid,tid,comm --sort=psr, which shows what runs there; kernel.isolation, cpus.other-threads",
        why="a thread that waits for its CPU empties no ring: what arrives meanwhile is dropped when it is full",
    )


@check(
    "cpus.realtime", Level.LOSS, "no limit of real-time threads stops PMD threads and vCPUs", SAMPLES, MACHINE, SWITCH
)
def realtime(live: Live, target: Target) -> Seen | None:
    """Look for PMD threads and vCPUs with a real-time policy that the kernel stops for a part of each second.

    A real-time thread that never sleeps uses up sched_rt_runtime_us of each period and is not run for the rest of it
    (scheduler/sched-rt-group.rst), whether or not another thread waits, before Linux 6.12.
    """
    pids = {live.switch.pid, *(guest.pid for guest in live.guests if guest.ours)}
    found = [
        (thread, policy)
        for thread in live.threads
        if thread.pid in pids
        and (thread.pmd is not None or thread.vcpu)
        and thread.tid in live.scheduling
        and (policy := REALTIME.get(live.scheduling[thread.tid].policy))
    ]
    limit = live.settings.get(RT_RUNTIME, "")
    if not found or not limit or numbers(target.facts.system.kernel) >= WITHOUT_THROTTLING:
        return None
    names = listed(thread.name for thread, _ in found)
    if limit == "-1":
        return ok(names)
    return warning(
        f"the kernel stops {counted(len(found), 'real-time thread')} of PMD and vCPUs for a part of each second",
        where=RT_RUNTIME,
        found=f"{limit} µs of each sched_rt_period_us; {', '.join(sorted({policy for _, policy in found}))}: {names}",
        expected="-1 where such a thread polls, or SCHED_OTHER on isolated CPUs",
        remedy=f"chrt --other --pid 0 {found[0][0].tid}, and so the others; or: sysctl kernel.sched_rt_runtime_us=-1",
        why="a PMD thread uses its runtime up: with the kernel's 950,000 µs it then does not run for 50 ms, and every "
        "ring overflows",
    )


@check("cpus.steal", Level.LOSS, "no hypervisor takes time from the CPUs of PMD threads and pinned vCPUs", SAMPLES)
def steal(live: Live, target: Target) -> Seen | None:
    """Look at the steal time of the pmd and dedicated pools during the sample: one tick of 10 ms fills any ring."""
    cpus = sorted({*target.plan.pools.pmd, *target.plan.pools.dedicated})
    if not cpus:
        return None
    if not live.stolen:
        return unknown("/proc/stat cannot be read")
    taken = {cpu: live.stolen[cpu] for cpu in cpus if live.stolen.get(cpu, 0) > 0}
    if not taken:
        return ok(f"none on {format_cpus(cpus)} in {live.seconds:.1f} s")
    return (info if target.plan.overlapped else warning)(
        f"a hypervisor takes time from {named(taken)}",
        where="/proc/stat",
        found=", ".join(f"CPU {cpu}: {seconds * 1000:.0f} ms" for cpu, seconds in list(taken.items())[:8])
        + f" in {live.seconds:.1f} s",
        expected="none",
        remedy="on the hypervisor: give each vCPU of this virtual machine a CPU of its own",
        why="this host is a virtual machine: while its vCPU does not run, neither does the PMD thread on it",
    )


def _wait(live: Live, thread: Thread, one: Scheduling, *, sleeps: bool) -> str:
    """Return how long a thread waited, as text; empty where a ring lasts that long."""
    # The kernel counts a wait when it ends, and a run without tick only once a second (sched_tick_remote).
    if one.runnable and not (one.run or one.delay or one.slices) and not set(thread.cpus) & set(live.nohz_full):
        return f"did not run in {live.seconds:.1f} s"
    counts_all = thread.pmd is not None and not sleeps
    if one.delay / (1 if counts_all else max(1, one.slices)) < RING_SECONDS * 1e9:
        return ""
    return (
        f"{one.delay / 1e6:.1f} ms of {live.seconds:.1f} s in {counted(one.slices, 'wait')}, preempted "
        f"{counted(one.preempted, 'time')}"
    )


def _latency_limit(live: Live, cpu: int) -> float:
    """Return the least exit latency, in µs, that any program requests for a CPU (cpuidle_governor_latency_req)."""
    limits = (live.latency_us, live.resume_us.get(cpu))
    return min((limit for limit in limits if limit is not None), default=inf)
