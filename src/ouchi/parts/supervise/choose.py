"""Choose the supervisor of a machine."""

from __future__ import annotations

from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.parts.supervise import Supervisor
from ouchi.parts.supervise.supervisord import SupervisordSupervisor
from ouchi.parts.supervise.systemd import SystemdSupervisor


def choose_supervisor(machine: Machine, instance: Instance) -> Supervisor:
    """systemd where it is PID 1, supervisor elsewhere."""
    if machine.read("/proc/1/comm").strip() == "systemd":
        return SystemdSupervisor(machine, instance)
    return SupervisordSupervisor(machine, instance)
