"""``ouchi doctor --fix``: make the fixes of findings as changes of the machine's journal, or show them."""

from __future__ import annotations

from collections.abc import Callable

from ouchi.checks.diagnosis import Diagnosis, FixResult
from ouchi.checks.model import Fix
from ouchi.steps import Lasts, engine
from ouchi.steps.journal import Journal


def make_fixes(journal: Journal, diagnosis: Diagnosis) -> tuple[FixResult, ...]:
    """Make every fix of a diagnosis; what cannot be changed does not stop the others."""

    def attempt(check: str, fix: Fix) -> tuple[str, ...]:
        attempts = engine.make_each(journal, check, fix.changes)
        return tuple(f"{one.change.key}: {one.failure}" for one in attempts if one.failure)

    return _each(journal, diagnosis, attempt, made=True)


def preview_fixes(journal: Journal, diagnosis: Diagnosis) -> tuple[FixResult, ...]:
    """Return what :func:`make_fixes` would change. Nothing is changed."""
    return _each(journal, diagnosis, lambda _check, _fix: (), made=False)


def _each(
    journal: Journal, diagnosis: Diagnosis, attempt: Callable[[str, Fix], tuple[str, ...]], *, made: bool
) -> tuple[FixResult, ...]:
    results = []
    for check, fix in diagnosis.planned_fixes:
        differences = engine.preview(journal, fix.changes)
        lasts = next(one for one in Lasts if any(change.lasts is one for change in fix.changes))
        results.append(FixResult(check, fix.name, str(lasts), differences, attempt(check, fix), made))
    return tuple(results)
