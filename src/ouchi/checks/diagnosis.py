"""The result of ``ouchi doctor``: every check's result, and the fixes that were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ouchi.checks.model import CheckResult, Problem, Result
from ouchi.core.errors import Severity

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class FixResult:
    """What ``--fix`` changed for one fix, and what it could not change."""

    name: str
    done: tuple[str, ...]
    failed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the same as a JSON object."""
        return {"name": self.name, "done": list(self.done), "failed": list(self.failed)}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The results of all checks, after the fixes."""

    labels: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    fixes: tuple[FixResult, ...] = ()

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
    def status(self) -> int:
        """The exit status: 0 healthy, 4 warnings only, 1 failures."""
        if self.count(Severity.ERROR):
            return 1
        return 4 if self.count(Severity.WARNING) else 0

    def to_json(self) -> dict[str, Any]:
        """Return the diagnosis as plain JSON, version 2."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "healthy": self.status == 0,
            "labels": list(self.labels),
            "counts": {
                "ok": len(self.with_result(Result.OK)),
                "unknown": len(self.with_result(Result.UNKNOWN)),
                "errors": self.count(Severity.ERROR),
                "warnings": self.count(Severity.WARNING),
                "infos": self.count(Severity.INFO),
            },
            "checks": [check.to_json() for check in self.checks],
            "fixes": [fix.to_json() for fix in self.fixes],
        }
