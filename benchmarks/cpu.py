"""CPU time during ``up``, by process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.memory import processes_of
from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Clock:
    """The whole machine's CPU seconds since its start: used by anybody, and taken by other virtual machines."""

    busy: float
    steal: float

    def since(self, before: Clock) -> Clock:
        """What has gone by."""
        return Clock(self.busy - before.busy, self.steal - before.steal)


@dataclass(frozen=True, slots=True)
class Use:
    """CPU seconds during one ``up``: wall seconds, CPUs, everybody's, the command's own, and each service's."""

    wall: float
    cpus: int
    clock: Clock
    command: float
    services: Mapping[str, float]

    @property
    def share(self) -> float:
        """The share of the available CPU time that was used, 0 to 1."""
        return self.clock.busy / (self.wall * self.cpus)


def parse_clock(stat: str, ticks: int = TICKS) -> Clock:
    """The first line of ``/proc/stat`` (proc(5)); guests' time is within ``user`` already."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(word) for word in stat.split("\n", maxsplit=1)[0].split()[1:9]
    )
    return Clock((user + nice + system + irq + softirq) / ticks, steal / ticks)


def parse_process(stat: str, ticks: int = TICKS) -> float:
    """CPU seconds in ``/proc/PID/stat``: its own and those of its children that it has waited for."""
    return sum(int(word) for word in stat.rpartition(")")[2].split()[11:15]) / ticks


def read_clock(machine: LocalMachine) -> Clock:
    """Read the machine's CPU time."""
    return parse_clock(machine.read("/proc/stat"))


def cpu_by_service(machine: LocalMachine, instance: Instance) -> dict[str, float]:
    """CPU seconds of each service since it began, the largest first."""
    used: dict[str, float] = {}
    for pid, service in processes_of(machine, instance).items():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            used[service] = used.get(service, 0.0) + parse_process(machine.read(f"/proc/{pid}/stat"))
    return dict(sorted(used.items(), key=lambda item: -item[1]))


def use_text(use: Use) -> str:
    """Format the CPU seconds by service, and how close the CPUs were to being the limit."""
    known = use.command + sum(use.services.values())
    parts = [f"ouchi and its children {use.command:.1f}"]
    parts += [f"{service} {seconds:.1f}" for service, seconds in use.services.items() if seconds >= 0.05]
    parts.append(f"other processes, and those that have ended, {max(0.0, use.clock.busy - known):.1f}")
    return (
        f"CPU: {use.clock.busy:.1f} s used of {use.cpus} × {use.wall:.1f} s = {use.cpus * use.wall:.1f} s "
        f"({use.share:.0%}); {use.clock.steal:.1f} s taken by other virtual machines\n" + "; ".join(parts)
    )
