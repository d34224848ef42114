"""The steps of ``apply`` for a plan, in the order in which they are made. Pure: reads nothing from the host."""

from __future__ import annotations

from ouchi.host.boot import boot_step
from ouchi.host.cpus import cpu_steps
from ouchi.host.nics import nic_steps
from ouchi.host.ovs import ovs_steps
from ouchi.host.step import Step
from ouchi.host.survey import Survey
from ouchi.plan.target import Target


def host_steps(target: Target, survey: Survey, *, own_ovs: bool = False) -> tuple[Step, ...]:
    """Every step; with ``own_ovs`` ``up`` runs its own Open vSwitch, so the distribution's is left alone."""
    steps = (
        boot_step(target, survey),
        *cpu_steps(target, survey),
        *nic_steps(target, survey),
        *(() if own_ovs else ovs_steps(target, survey)),
    )
    return tuple(step for step in steps if step.changes)
