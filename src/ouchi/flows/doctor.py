"""``ouchi doctor``: the live host against the plan, with why each difference loses packets and what mends it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ouchi.checks import cpus, interrupts, kernel, memory, nics, ovs, queues, threads, versions
from ouchi.checks.values import Answer, Check, Checked, Diagnosis, Mend, Mended, State, Trouble, unknown
from ouchi.core.instance import Instance
from ouchi.live.host import Live, gather
from ouchi.machine import Machine
from ouchi.plan.target import Target

__all__ = [
    "CHECKS",
    "Checked",
    "Diagnosis",
    "Live",
    "Mend",
    "Mended",
    "State",
    "Trouble",
    "diagnose",
    "examine",
    "kept_here",
]

CHECKS: tuple[Check, ...] = (
    *kernel.CHECKS,
    *memory.CHECKS,
    *cpus.CHECKS,
    *interrupts.CHECKS,
    *threads.CHECKS,
    *ovs.CHECKS,
    *queues.CHECKS,
    *nics.CHECKS,
    *versions.CHECKS,
)


def examine(machine: Machine, instance: Instance, target: Callable[[], Target]) -> Diagnosis:
    """Read the host and its plan side by side, and check the one against the other. Nothing is changed.

    Raises :class:`~ouchi.core.errors.BadInput` where ``wanted`` does, as the site does not fit the machine.
    """
    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(gather, machine, instance)
        plan = target()
        return diagnose(reading.result(), plan)


def diagnose(live: Live, target: Target) -> Diagnosis:
    """Every check's answer; those that mean nothing on this host are left out."""
    checked = [
        Checked(check.subject, check.name, answer)
        for check in CHECKS
        if (answer := _asked(check, live, target)) is not None
    ]
    return Diagnosis(labels_of(target), tuple(checked))


def kept_here(machine: Machine, instance: Instance) -> str:
    """The site file as the ``up`` that runs here used it; empty where none does."""
    kept = instance.kept_site
    return kept if machine.exists(instance.ovs) and machine.exists(kept) else ""


def labels_of(target: Target) -> tuple[str, ...]:
    """What must stand beside it."""
    labels = []
    if target.new:
        labels.append(f"there is no {target.site_file}: the plan is the one that ouchi up would write")
    if target.plan.overlapped:
        labels.append("overlapped: polling threads share their CPU, so isolation is not asked for")
    return tuple(labels)


def _asked(check: Check, live: Live, target: Target) -> Answer | None:
    failed = next((name for name in check.needs if name in live.missing), "")
    return unknown(live.missing[failed]) if failed else check.look(live, target)
