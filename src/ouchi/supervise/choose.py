"""Which supervisor a machine has."""

from __future__ import annotations

from ouchi.instance import Instance
from ouchi.machine import Machine
from ouchi.supervise import Supervisor
from ouchi.supervise.supervisord import SupervisordSupervisor
from ouchi.supervise.systemd import SystemdSupervisor


def choose_supervisor(machine: Machine, instance: Instance) -> Supervisor:
    """systemd where it is PID 1, supervisor elsewhere."""
    if machine.read("/proc/1/comm").strip() == "systemd":
        return SystemdSupervisor(machine, instance)
    return SupervisordSupervisor(machine, instance)
