"""The CPUs on which a thread may run, by its thread id. The state is a list of CPUs: ``1-5,7``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ouchi.machine import Machine
from ouchi.steps import Change, Kind, Lasts, State

LOOK = """for tid; do sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$tid/status" 2>/dev/null || echo; done"""


def thread_cpus(tid: int, cpus: str) -> Change:
    """A thread may run on ``cpus`` only, as long as it lives."""
    return Change("thread", str(tid), cpus, lasts=Lasts.PROCESS)


class ThreadKind(Kind):
    """A thread's affinity (taskset(1))."""

    name = "thread"

    def look(self, machine: Machine, keys: Sequence[str]) -> dict[str, State]:
        lines = machine.run(("sh", "-cu", LOOK, "sh", *keys)).stdout.splitlines()
        return {key: line or None for key, line in zip(keys, lines, strict=True)}

    def script(self, key: str, state: State) -> str:
        return f"taskset -pc {shlex.quote(state)} {shlex.quote(key)} >/dev/null\n"

    def describe(self, _key: str, state: State) -> list[str]:
        return [f"CPUs {state}"] if state else []
