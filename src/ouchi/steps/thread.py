"""The CPUs on which a thread may run, by its thread id. The state is a list of CPUs: ``1-5,7``."""

from __future__ import annotations

import shlex

from ouchi.steps import Change, Kind, Lasts, State

LOOK = """for tid; do sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$tid/status" 2>/dev/null || echo; done"""


def thread_cpus(tid: int, cpus: str) -> Change:
    """A thread may run on ``cpus`` only, as long as it lives."""
    return Change("thread", str(tid), cpus, lasts=Lasts.PROCESS)


class ThreadKind(Kind):
    """A thread's affinity (taskset(1))."""

    name = "thread"
    look_script = LOOK

    def script(self, key: str, state: State) -> str:
        return f"taskset -pc {shlex.quote(state)} {shlex.quote(key)} >/dev/null\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return [f"CPUs {state}"] if state else []
