"""Prerequisites of a path: packages, the generator, OVS-DPDK, the guests' image."""

from __future__ import annotations

from collections.abc import Callable

from ouchi.core.events import Notify, Timeline
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.tasks import Task, leading_to, run_tasks
from ouchi.flows.up import Up
from ouchi.live import kvm
from ouchi.machine import Machine
from ouchi.measure.generator.build import PACKAGES, build, program_path
from ouchi.measure.paths.open import Artifacts
from ouchi.measure.request import BenchRequest
from ouchi.parts import packages
from ouchi.parts.guest_image import built as built_image
from ouchi.plan.target import Target
from ouchi.vnf.testpmd import PACKAGE as TESTPMD_PACKAGE


def prepare(
    machine: Machine,
    instance: Instance,
    target: Target,
    request: BenchRequest,
    *,
    timeline: Timeline,
    interrupt: Callable[[], None],
) -> Artifacts:
    """Install and start what the path needs, as ``up`` does; ``interrupt``: see :func:`~ouchi.core.tasks.run_tasks`."""
    up = Up(machine, instance, target, timeline)
    up.begin()
    programs = []

    def tools(say: Notify) -> Outcome:
        guest = (TESTPMD_PACKAGE,) if request.path.guests and not request.routed else ()
        return packages.install(up.context.journal, (*PACKAGES, *guest), say)

    def generator(say: Notify) -> Outcome:
        existed = machine.exists(program_path(machine, instance))
        programs.append(build(machine, instance, say))
        return (nothing if existed else changed)("the traffic generator is built")

    # One package manager at a time; OVS and the generator in parallel.
    goals = ["bridges" if request.path.through_ovs else "hugetlbfs"]
    goals += ["guest image", "kvm"] if request.routed else []
    table = up.tasks("dataplane")
    needed = {task.name for goal in goals for task in leading_to(table, goal)}
    more = [Task("prepare", "tools", tools, ("packages",)), Task("prepare", "generator", generator, ("tools",))]
    run_tasks([*(task for task in table if task.name in needed), *more], timeline, interrupt)
    if not request.routed:
        return Artifacts(programs[0])
    return Artifacts(programs[0], str(built_image(up.context).path), kvm=kvm.remembered(machine, instance)[0])
