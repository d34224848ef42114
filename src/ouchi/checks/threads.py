"""Where threads may run: the switch's, the guests', and everybody else's on CPUs that are not theirs."""

from __future__ import annotations

from collections import Counter

from ouchi.checks.asking import ONLY_ROOT, asking
from ouchi.checks.remedies import APPLY, APPLY_RESTART, FIX, UP, configuring, fix_then
from ouchi.checks.values import Answer, Check, Mend, Trouble, holds, judged, named, unknown, wrong
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, error, warning
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.threads import Thread, family, listed
from ouchi.plan.target import Target
from ouchi.plan.values import counted

TASKS = "/proc/*/task/*/status"

IDLE = ("TC ", "kvm-nx-lpage-re")
"""Threads in a QEMU that do not matter: its thread contexts only give their affinity to those that touch the memory at
the start; and KVM's own (a part of the process since Linux 6.13), which looks for pages once a minute, is where the vCPU
is that began it, and nothing of libvirt's moves it."""

ELSEWHERE = (
    "a polling thread away from its CPU shares another one: it stands still for milliseconds while the other thread "
    "there runs, and its queue overflows"
)
UPCALLS = "handlers and revalidators work in bursts, when flows are new: just then they stop a polling thread"
STEAL = (
    "a vCPU that waits for its CPU does not empty its ring: what OVS sends it meanwhile is dropped, counted as "
    "ovs_tx_failure_drops"
)
RIVALS = "whatever runs there takes the CPU from a polling thread or a vCPU for milliseconds at a time"


@asking(daemon=True)
def polling(live: Live, target: Target) -> Answer | None:
    """One polling thread on each CPU of the pool, and nowhere else."""
    threads = _of_switch(live)
    pool = target.plan.pools.pmd
    own = {cpu: thread for thread in threads if (cpu := thread.pmd) is not None}
    if not own and "tables" in live.switch.failed:
        return unknown(ONLY_ROOT if not live.root else live.switch.failed["tables"])
    if not own and not any(port.polled for port in live.switch.ports):
        return holds("none: no port needs one yet")
    troubles: list[Trouble | Finding] = [
        _moved(cpu, thread) for cpu, thread in sorted(own.items()) if thread.cpus != (cpu,)
    ]
    absent, extra = set(pool) - own.keys(), own.keys() - set(pool)
    if absent or extra:
        troubles.append(
            error(
                "polling threads are not where the plan has them",
                where=f"/proc/{live.switch.pid}/task",
                found=f"on {named(own)}" if own else "no polling thread",
                expected=f"one on each of {format_cpus(pool)}",
                remedy=configuring(live.switch),
                why="where nobody polls packets wait until they are dropped, and a polling thread takes a CPU whole",
            )
        )
    return judged(troubles, f"one on each of {format_cpus(pool)}")


@asking(daemon=True)
def others(live: Live, target: Target) -> Answer | None:
    """The switch's other threads: within the host's pool."""
    threads = _of_switch(live)
    quiet, host = set(target.plan.isolated), target.plan.pools.host
    if not quiet:
        return None
    wandering = [thread for thread in threads if thread.pmd is None and quiet.intersection(thread.cpus)]
    if not wandering:
        return holds(f"within {format_cpus(host)}")
    mend = Mend(
        f"{counted(len(wandering), 'thread')} of ovs-vswitchd on {named(host)}",
        commands=tuple(("taskset", "-pc", format_cpus(host), str(thread.tid)) for thread in wandering),
    )
    finding = warning(
        f"{counted(len(wandering), 'thread')} of ovs-vswitchd may run on CPUs of polling threads and pinned vCPUs",
        where=f"/proc/{live.switch.pid}/task",
        found=listed(_kind(thread.name) for thread in wandering),
        expected=f"within {format_cpus(host)}",
        remedy=fix_then(APPLY),
        why=UPCALLS,
    )
    return wrong(Trouble(finding, mend))


def vcpus(live: Live, target: Target) -> Answer | None:
    """Guests' vCPUs: each alone on a dedicated CPU, or all on the shared pool."""
    guests = {guest.pid: guest for guest in live.guests if guest.ours}
    if not guests:
        return None
    pools = target.plan.pools
    threads = [thread for thread in live.threads if thread.pid in guests and thread.vcpu]
    if not threads:
        return unknown("QEMU does not name its vCPUs' threads (debug-threads=on)")
    users = Counter(thread.cpus[0] for thread in threads if len(thread.cpus) == 1)
    shared, dedicated = set(pools.shared), set(pools.dedicated)

    def placed(thread: Thread) -> bool:
        alone = len(thread.cpus) == 1 and thread.cpus[0] in dedicated and users[thread.cpus[0]] == 1
        return alone or (bool(thread.cpus) and set(thread.cpus) <= shared)

    astray = [thread for thread in threads if not placed(thread)]
    if not astray:
        return holds(counted(len(threads), "vCPU"))
    return wrong(
        error(
            "vCPUs are not where the plan has them",
            where=TASKS,
            found="; ".join(f"{guests[one.pid].name} {one.name}: {format_cpus(one.cpus)}" for one in astray[:6]),
            expected=f"one CPU of {format_cpus(dedicated) or 'none'} each, or within {format_cpus(shared)}",
            remedy=f"ouchi openstack server reboot --hard SERVER, or: {UP}",
            why=STEAL,
        )
    )


def emulators(live: Live, target: Target) -> Answer | None:
    """QEMU's own threads: on the shared pool, not on its guest's CPUs."""
    guests = {guest.pid: guest for guest in live.guests if guest.ours}
    if not guests:
        return None
    shared = set(target.plan.pools.shared)
    astray = [
        thread
        for thread in live.threads
        if thread.pid in guests and not thread.vcpu and not thread.name.startswith(IDLE) and set(thread.cpus) - shared
    ]
    if not astray:
        return holds(f"within {format_cpus(shared)}")
    return wrong(
        error(
            "QEMU's own threads may run outside the shared pool",
            where=TASKS,
            found="; ".join(f"{guests[one.pid].name} {one.name}: {format_cpus(one.cpus)}" for one in astray[:6]),
            expected=f"within {format_cpus(shared)}",
            remedy="hw:emulator_threads_policy=share in the flavor, as ouchi up makes it; then reboot the server hard",
            why=STEAL,
        )
    )


def rivals(live: Live, target: Target) -> Answer | None:
    """Other programs that may run on isolated CPUs; the kernel's own threads cannot be moved."""
    quiet = set(target.plan.isolated)
    if not quiet:
        return None
    if not live.threads:
        return unknown("/proc shows no threads")
    ourselves = family(live.threads, live.scripts)
    welcome = {live.switch.pid, *(guest.pid for guest in live.guests if guest.ours), *ourselves}
    found = [one for one in live.threads if not one.kernel and one.pid not in welcome and quiet & set(one.cpus)]
    if not found:
        return holds("only polling threads and vCPUs")
    programs = {one.pid for one in found}
    return wrong(
        warning(
            f"{counted(len(found), 'thread')} of {counted(len(programs), 'other program')} may run on {named(quiet)}",
            where=TASKS,
            found=listed(one.name for one in found),
            expected="polling threads and vCPUs only",
            remedy=APPLY_RESTART,
            why=RIVALS,
        )
    )


CHECKS = (
    Check("threads", "each polling thread has its CPU", polling, (MACHINE, SWITCH)),
    Check("threads", "ovs-vswitchd's other threads keep off isolated CPUs", others, (MACHINE, SWITCH)),
    Check("threads", "each vCPU has its CPU", vcpus, (MACHINE,)),
    Check("threads", "QEMU's own threads are on the shared pool", emulators, (MACHINE,)),
    Check("threads", "nobody else may run on isolated CPUs", rivals, (MACHINE, SWITCH)),
)


def _of_switch(live: Live) -> list[Thread]:
    """The threads of ovs-vswitchd."""
    return [thread for thread in live.threads if thread.pid == live.switch.pid]


def _moved(cpu: int, thread: Thread) -> Trouble:
    finding = error(
        f"the polling thread of CPU {cpu} may run elsewhere",
        where=f"/proc/{thread.pid}/task/{thread.tid}/status",
        found=f"Cpus_allowed_list: {format_cpus(thread.cpus)}",
        expected=str(cpu),
        remedy=f"{FIX}; what moved it is most often tuned, or a script with taskset",
        why=ELSEWHERE,
    )
    mend = Mend(f"the polling thread back on CPU {cpu}", commands=(("taskset", "-pc", str(cpu), str(thread.tid)),))
    return Trouble(finding, mend)


def _kind(name: str) -> str:
    """``handler12`` and ``revalidator3`` are many."""
    return name.rstrip("0123456789") or name
