"""The result of ``ouchi doctor``: every check's result, and the fixes that were made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ouchi.checks.model import CheckResult, Fix, Problem, Result
from ouchi.core.errors import Severity
from ouchi.core.plain import to_plain
from ouchi.steps.engine import Difference

SCHEMA = 2


class Health(StrEnum):
    """What the checks of a host come to, the worst first.

    ``incomplete``: an essential check is unknown. ``qualified``: no check found a failure or a warning, but there are
    remarks, or other checks are unknown.
    """

    FAILURES = "failures"
    INCOMPLETE = "incomplete"
    WARNINGS = "warnings"
    QUALIFIED = "qualified"
    HEALTHY = "healthy"


STATUS = {Health.FAILURES: 1, Health.INCOMPLETE: 1, Health.WARNINGS: 4}
"""Exit statuses other than 0."""


@dataclass(frozen=True, slots=True)
class FixEntry:
    """A fix of ``ouchi doctor --fix``; ``made`` is false in a dry run."""

    check: str
    name: str
    lasts: str
    made: bool
    differences: tuple[Difference, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The results of all checks, after the fixes."""

    labels: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    fixes: tuple[FixEntry, ...] = ()

    @property
    def planned_fixes(self) -> tuple[tuple[str, Fix], ...]:
        """Every fix once, with the id of the first check that has it."""
        found: list[tuple[str, Fix]] = []
        for check in self.checks:
            for problem in check.problems:
                if problem.fix and problem.fix not in [fix for _, fix in found]:
                    found.append((check.id, problem.fix))
        return tuple(found)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All findings with their fixes, in the order of the checks."""
        return tuple(problem for check in self.checks for problem in check.problems)

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(problem.finding.severity is severity for problem in self.problems)

    def with_result(self, result: Result) -> tuple[CheckResult, ...]:
        """Return the checks that ended so."""
        return tuple(check for check in self.checks if check.result is result)

    @property
    def unseen(self) -> tuple[CheckResult, ...]:
        """The essential checks that could not be evaluated."""
        return tuple(check for check in self.with_result(Result.UNKNOWN) if check.essential)

    @property
    def health(self) -> Health:
        """What the checks come to."""
        if self.count(Severity.ERROR):
            return Health.FAILURES
        if self.unseen:
            return Health.INCOMPLETE
        if self.count(Severity.WARNING):
            return Health.WARNINGS
        return Health.QUALIFIED if self.problems or self.with_result(Result.UNKNOWN) else Health.HEALTHY

    @property
    def status(self) -> int:
        """The exit status: 0 healthy, 4 warnings only, 1 failures, or an essential check is unknown."""
        return STATUS.get(self.health, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as plain JSON, version 2."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "health": str(self.health),
            "healthy": self.status == 0,
            "labels": list(self.labels),
            "counts": {
                "ok": len(self.with_result(Result.OK)),
                "unknown": len(self.with_result(Result.UNKNOWN)),
                "unknown_essential": len(self.unseen),
                "errors": self.count(Severity.ERROR),
                "warnings": self.count(Severity.WARNING),
                "infos": self.count(Severity.INFO),
            },
            "checks": [check.to_json() for check in self.checks],
            "fixes": to_plain(self.fixes),
        }
