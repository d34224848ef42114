"""``ouchi doctor``: the live host against the plan, with why each difference loses packets and what fixes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ouchi.checks.diagnosis import Diagnosis, FixEntry
from ouchi.checks.model import CheckResult, Result
from ouchi.checks.registry import evaluate
from ouchi.core.instance import LOCK, Instance
from ouchi.live.host import MACHINE, Live, read
from ouchi.machine import Machine
from ouchi.plan.target import Target
from ouchi.steps import Lasts, engine
from ouchi.steps.journal import Journal, Scope, open_journal


def examine(machine: Machine, instance: Instance, target: Callable[[], Target]) -> Diagnosis:
    """Read the host and its target in parallel, and evaluate every check. Nothing is changed.

    Raises :class:`~ouchi.core.errors.BadInput` where ``target`` does, as the site does not fit the machine.
    """
    with ThreadPoolExecutor(1) as pool:
        live = pool.submit(read, machine, instance)
        expected = target()
        return diagnose(live.result(), expected)


def examine_and_preview(machine: Machine, instance: Instance, target: Callable[[], Target]) -> Diagnosis:
    """Examine the host, and show what :func:`examine_and_fix` would change. Nothing is changed."""
    diagnosis = examine(machine, instance, target)
    return replace(diagnosis, fixes=run_fixes(open_journal(machine, instance, Scope.MACHINE), diagnosis, make=False))


def examine_and_fix(machine: Machine, instance: Instance, target: Callable[[], Target]) -> Diagnosis:
    """Examine the host, fix what can be fixed while it runs, and examine it again.

    Raises :class:`~ouchi.core.errors.BadInput` also while another ouchi changes the machine.
    """
    with machine.hold(LOCK, "doctor --fix"):
        diagnosis = examine(machine, instance, target)
        fixes = run_fixes(open_journal(machine, instance, Scope.MACHINE), diagnosis, make=True)
        return replace(examine(machine, instance, target), fixes=fixes)


def run_fixes(journal: Journal, diagnosis: Diagnosis, *, make: bool) -> tuple[FixEntry, ...]:
    """Make every fix of a diagnosis, or show what it would change; what cannot be changed does not stop the others."""
    results = []
    for check, fix in diagnosis.planned_fixes:
        differences = engine.preview(journal, fix.changes)
        lasts = next(one for one in Lasts if any(change.lasts is one for change in fix.changes))
        attempts = engine.make_each(journal, check, fix.changes) if make else ()
        failures = tuple(f"{change.key}: {failure}" for change, failure in attempts if failure)
        results.append(FixEntry(check, fix.name, str(lasts), make, differences, failures))
    return tuple(results)


def diagnose(live: Live, target: Target) -> Diagnosis:
    """Evaluate every check; those that do not apply to the host are left out."""
    results = evaluate(live, target)
    return Diagnosis((*labels_of(target), *_without_root(live, target, results)), results)


def _without_root(live: Live, target: Target, results: Sequence[CheckResult]) -> tuple[str, ...]:
    """Return a label that says what was not looked at without root and how to look; none where everything was."""
    subjects = dict.fromkeys(check.subject for check in results if check.result is Result.UNKNOWN)
    if live.root or MACHINE in live.missing or not subjects:
        return ()
    how = f"as root on {target.site.address}: root@ in its address" if target.site.address else "sudo ouchi doctor"
    return (f"without root not all of {', '.join(subjects)} was looked at; next: {how}",)


def site_in_use(machine: Machine, instance: Instance) -> str:
    """Return the path of the site file that the running instance was made from; empty where none runs."""
    kept = instance.kept_site
    return kept if machine.exists(instance.ovs) and machine.exists(kept) else ""


def labels_of(target: Target) -> tuple[str, ...]:
    """Return the labels that qualify a diagnosis."""
    labels = []
    if target.new:
        labels.append(f"no {target.site_file}: compared with the plan that ouchi up would make")
    if target.plan.overlapped:
        labels.append("overlapped: PMD threads share their CPU, so isolation is not checked")
    return tuple(labels)
