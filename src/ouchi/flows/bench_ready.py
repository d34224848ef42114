"""What must be there before a path is opened: packages, the generator, OVS-DPDK, the guests' image."""

from __future__ import annotations

from collections.abc import Callable

from ouchi.core.events import Say, Timeline
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.tasks import Task, leading_to, run_tasks
from ouchi.flows.up import Up
from ouchi.live import kvm
from ouchi.machine import Machine
from ouchi.measure.generator.build import PACKAGES, build, built
from ouchi.measure.paths.open import Ready
from ouchi.measure.request import Wish
from ouchi.parts import packages
from ouchi.parts.guest_image import built as built_image
from ouchi.plan.target import Target
from ouchi.vnf.testpmd import PACKAGE as GUEST_PACKAGE


def prepare(
    machine: Machine,
    instance: Instance,
    target: Target,
    wish: Wish,
    timeline: Timeline,
    interrupt: Callable[[], None],
) -> Ready:
    """See to all that the path has in it, as ``up`` does; ``interrupt`` as for :func:`~ouchi.core.tasks.run_tasks`."""
    up = Up(machine, instance, target, timeline)
    up.begin()
    virtual = wish.guest == "vm" and bool(wish.path.guests)
    programs = []

    def tools(say: Say) -> Outcome:
        guest = (GUEST_PACKAGE,) if wish.path.guests and not virtual else ()
        return packages.install(machine, up.context.journal, (*PACKAGES, *guest), say)

    def generator(say: Say) -> Outcome:
        before = machine.exists(built(machine, instance))
        programs.append(build(machine, instance, say))
        return nothing("the traffic generator is built") if before else changed("the traffic generator is built")

    # One package manager at a time; the switch and the generator side by side.
    goals = ["bridges" if wish.path.switched else "hugetlbfs", *(["guest image", "kvm"] if virtual else [])]
    table = up.tasks("dataplane")
    needed = {task.name for goal in goals for task in leading_to(table, goal)}
    more = [Task("prepare", "tools", tools, ("packages",)), Task("prepare", "generator", generator, ("tools",))]
    run_tasks([*(task for task in table if task.name in needed), *more], timeline, interrupt)
    if not virtual:
        return Ready(programs[0])
    return Ready(programs[0], str(built_image(up.context).path), kvm=kvm.remembered(machine, instance)[0])
