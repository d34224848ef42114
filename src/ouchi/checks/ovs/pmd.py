"""Threads of ovs-vswitchd: one PMD thread on each planned CPU, and the others off the isolated CPUs."""

from __future__ import annotations

from ouchi.checks.model import Fix, Level, Observation, Problem, Seen, check, judge, named, ok, unknown
from ouchi.checks.ovs.answers import ONLY_ROOT, answered
from ouchi.checks.remedies import APPLY, FIX, configuring, fix_then
from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, error, warning
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.threads import Thread, listed
from ouchi.plan.target import Target
from ouchi.plan.values import counted
from ouchi.steps.thread import thread_cpus


@check("ovs.pmd-placement", Level.PLACED, "one PMD thread runs on each planned CPU", MACHINE, SWITCH)
@answered(daemon=True)
def pmd_placement(live: Live, target: Target) -> Observation | None:
    """Compare the affinity of each PMD thread with the CPU in its name, and those CPUs with the plan."""
    pool = target.plan.pools.pmd
    threads = {cpu: thread for thread in _threads(live) if (cpu := thread.pmd) is not None}
    if not threads and "tables" in live.switch.failed:
        return unknown(ONLY_ROOT if not live.root else live.switch.failed["tables"])
    if not threads and not any(port.polled for port in live.switch.ports):
        return ok("none: no port needs one yet")
    problems: list[Problem | Finding] = [
        _moved(cpu, thread) for cpu, thread in sorted(threads.items()) if thread.cpus != (cpu,)
    ]
    if threads.keys() != set(pool):
        problems.append(
            error(
                "PMD threads are not on the planned CPUs",
                where=f"/proc/{live.switch.pid}/task",
                found=f"on {named(threads)}" if threads else "no PMD thread",
                expected=f"one on each of {format_cpus(pool)}",
                remedy=configuring(live.switch),
                why="Rx queues that no PMD thread polls overflow, and a PMD thread takes its CPU completely",
            )
        )
    return judge(problems, f"one on each of {format_cpus(pool)}")


@check("ovs.thread-placement", Level.LOSS, "ovs-vswitchd's other threads keep off the isolated CPUs", MACHINE, SWITCH)
@answered(daemon=True)
def thread_placement(live: Live, target: Target) -> Seen | None:
    """Look for handlers, revalidators and other threads that may run on isolated CPUs."""
    isolated, host = set(target.plan.isolated), target.plan.pools.host
    if not isolated:
        return None
    misplaced = [thread for thread in _threads(live) if thread.pmd is None and isolated.intersection(thread.cpus)]
    if not misplaced:
        return ok(f"within {format_cpus(host)}")
    fix = Fix(
        f"{counted(len(misplaced), 'thread')} of ovs-vswitchd on {named(host)}",
        tuple(thread_cpus(thread.tid, format_cpus(host)) for thread in misplaced),
    )
    finding = warning(
        f"{counted(len(misplaced), 'thread')} of ovs-vswitchd may run on CPUs of PMD threads and pinned vCPUs",
        where=f"/proc/{live.switch.pid}/task",
        found=listed(thread.name.rstrip("0123456789") or thread.name for thread in misplaced),
        expected=f"within {format_cpus(host)}",
        remedy=fix_then(APPLY),
        why="handlers and revalidators work in bursts, when flows are new: then they preempt a PMD thread",
    )
    return Problem(finding, fix)


def _threads(live: Live) -> list[Thread]:
    """Return the threads of ovs-vswitchd."""
    return [thread for thread in live.threads if thread.pid == live.switch.pid]


def _moved(cpu: int, thread: Thread) -> Problem:
    finding = error(
        f"the PMD thread of CPU {cpu} may run on other CPUs",
        where=f"/proc/{thread.pid}/task/{thread.tid}/status",
        found=f"Cpus_allowed_list: {format_cpus(thread.cpus)}",
        expected=str(cpu),
        remedy=f"{FIX}; what moved it is most often tuned, or a script with taskset",
        why="a PMD thread off its CPU shares another one: it is preempted for milliseconds while the other thread "
        "there runs, and its Rx queues overflow",
    )
    return Problem(finding, Fix(f"PMD thread back on CPU {cpu}", (thread_cpus(thread.tid, str(cpu)),)))
