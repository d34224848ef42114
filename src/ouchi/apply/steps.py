"""What the plan asks of the machine, step by step, in the order in which it is done. Pure: looks at nothing itself."""

from __future__ import annotations

from ouchi.apply.boot import boot_step
from ouchi.apply.cards import card_steps
from ouchi.apply.cpus import cpu_steps
from ouchi.apply.step import Step
from ouchi.apply.surroundings import Surroundings
from ouchi.apply.switch import switch_steps
from ouchi.render.host import Host


def host_steps(host: Host, around: Surroundings, *, own_switch: bool = False) -> tuple[Step, ...]:
    """Every step; ``own_switch``: ``up`` brings its own Open vSwitch, so the distribution's is left alone."""
    steps = (
        boot_step(host, around),
        *cpu_steps(host, around),
        *card_steps(host, around),
        *(() if own_switch else switch_steps(host, around)),
    )
    return tuple(step for step in steps if step.changes)
