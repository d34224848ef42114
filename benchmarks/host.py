"""The machine that figures were measured on, as text for the report."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from ouchi.facts import Facts, collect
from ouchi.machine.local import LocalMachine


@dataclass(frozen=True, slots=True)
class Host:
    """A machine before anything was measured; ``load`` is its load average over one minute."""

    cpu: str
    cores: int
    cpus: int
    memory_gib: float
    kernel: str
    distribution: str
    virtual: str
    load: float

    @property
    def labels(self) -> list[str]:
        """Labels that belong to every figure."""
        reasons = ["virtual CPUs"] if self.virtual else []
        reasons += [f"load {self.load:.2f} before it began"] if self.load >= 0.25 else []
        return [f"shared machine ({', '.join(reasons)})"] if reasons else []

    def to_json(self) -> dict[str, Any]:
        """A flat JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        virtual = f", virtual ({self.virtual})" if self.virtual else ""
        return (
            f"{self.cpu}, {self.cores} cores ({self.cpus} CPUs), {self.memory_gib:.0f} GiB, "
            f"{self.distribution}, kernel {self.kernel}{virtual}; load before it began {self.load:.2f}"
        )


def read_host(machine: LocalMachine) -> Host:
    """The machine now."""
    return describe(collect(machine), machine.read("/proc/cpuinfo"), machine.read("/proc/loadavg"))


def describe(facts: Facts, cpuinfo: str, loadavg: str) -> Host:
    """The machine by its facts, ``/proc/cpuinfo`` and ``/proc/loadavg``."""
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    online = [cpu for cpu in facts.cpus if cpu.online]
    return Host(
        cpu=model[1].strip() if model else facts.system.architecture,
        cores=len({(cpu.package, cpu.core) for cpu in online}),
        cpus=len(online),
        memory_gib=sum(node.total_kib for node in facts.memory) / 2**20,
        kernel=facts.system.kernel,
        distribution=facts.system.distribution.pretty,
        virtual=facts.system.virtual,
        load=float(loadavg.split(maxsplit=1)[0]),
    )
