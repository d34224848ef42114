"""What the plan asks of the machine, step by step, in the order in which it is done. Pure: looks at nothing itself."""

from __future__ import annotations

from ouchi.host.boot import boot_step
from ouchi.host.cpus import cpu_steps
from ouchi.host.nics import card_steps
from ouchi.host.ovs import switch_steps
from ouchi.host.step import Step
from ouchi.host.survey import Surroundings
from ouchi.plan.target import Target


def host_steps(target: Target, around: Surroundings, *, own_switch: bool = False) -> tuple[Step, ...]:
    """Every step; ``own_switch``: ``up`` brings its own Open vSwitch, so the distribution's is left alone."""
    steps = (
        boot_step(target, around),
        *cpu_steps(target, around),
        *card_steps(target, around),
        *(() if own_switch else switch_steps(target, around)),
    )
    return tuple(step for step in steps if step.changes)
