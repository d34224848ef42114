"""How the kernel scheduled single threads during the sample, and the time that a hypervisor took from each CPU."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE = re.compile(r"/proc/[0-9]{1,9}/task/([0-9]{1,9})/(?:schedstat|status|stat):(.*)")
_NAME = re.compile(r"[0-9]{1,9} \(.*\) ")
_SCHEDSTAT = re.compile(r"([0-9]{1,20}) ([0-9]{1,20}) ([0-9]{1,20})")
_STAT = re.compile(r"^cpu([0-9]{1,4})((?: [0-9]{1,20}){8,})", re.MULTILINE)

REALTIME = {1: "SCHED_FIFO", 2: "SCHED_RR"}
"""Policies by their numbers (sched(7), <linux/sched.h>)."""
_POLICY = 38
"""The field of ``stat`` after the thread's name that holds its policy: 41 of proc_pid_stat(5)."""

TICK_SECONDS = 0.01
"""The unit of /proc/stat (USER_HZ, proc_stat(5))."""
STEAL = 7
"""The column of steal time after the CPU's name."""


@dataclass(frozen=True, slots=True)
class Scheduling:
    """Times of a thread in ns: ``run``, and ``delay`` while it was runnable and waited for its CPU.

    ``slices``: how often it got the CPU. ``preempted``: its nonvoluntary switches. ``runnable``: its state was R.
    ``policy``: its number in <linux/sched.h>. The sources: Documentation/scheduler/sched-stats.rst, proc_pid_status(5).
    """

    run: int
    delay: int
    slices: int
    preempted: int = 0
    runnable: bool = False
    policy: int = 0

    def since(self, earlier: Scheduling) -> Scheduling:
        """Return what was added since an earlier reading; ``runnable`` where it was so at both."""
        return Scheduling(
            max(0, self.run - earlier.run),
            max(0, self.delay - earlier.delay),
            max(0, self.slices - earlier.slices),
            max(0, self.preempted - earlier.preempted),
            self.runnable and earlier.runnable,
            self.policy,
        )


def parse_scheduling(text: str) -> dict[int, Scheduling]:
    """Return the times of each thread by its number, from lines of ``schedstat`` and ``status``."""
    times: dict[int, tuple[int, ...]] = {}
    status: dict[int, dict[str, str]] = {}
    policies: dict[int, int] = {}
    for line in text.split("\n"):
        if match := _LINE.fullmatch(line):
            tid, value = int(match[1]), match[2]
            if numbers := _SCHEDSTAT.fullmatch(value):
                times[tid] = tuple(map(int, numbers.groups()))
            elif name := _NAME.match(value):
                policies[tid] = _policy(value[name.end() :].split())
            else:
                key, _, rest = value.partition(":")
                status.setdefault(tid, {})[key] = rest.strip()
    found = {}
    for tid, (run, delay, slices) in times.items():
        keys = status.get(tid, {})
        switches = keys.get("nonvoluntary_ctxt_switches", "")
        preempted = int(switches) if re.fullmatch(r"[0-9]{1,20}", switches) else 0
        found[tid] = Scheduling(
            run, delay, slices, preempted, keys.get("State", "").startswith("R"), policies.get(tid, 0)
        )
    return found


def _policy(fields: list[str]) -> int:
    number = fields[_POLICY] if len(fields) > _POLICY else ""
    return int(number) if re.fullmatch(r"[0-9]{1,2}", number) else 0


def scheduled(before: str, after: str) -> dict[int, Scheduling]:
    """Return what was added to the times of each thread between two readings."""
    first = parse_scheduling(before)
    return {tid: one.since(first[tid]) for tid, one in parse_scheduling(after).items() if tid in first}


def stolen(before: str, after: str) -> dict[int, float]:
    """Return the seconds that the hypervisor took from each CPU between two readings of ``/proc/stat``."""
    first, last = ({int(cpu): int(rest.split()[STEAL]) for cpu, rest in _STAT.findall(one)} for one in (before, after))
    return {cpu: max(0, ticks - first[cpu]) * TICK_SECONDS for cpu, ticks in last.items() if cpu in first}
