"""The result of the checks and the measurement at the end of ``up``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ouchi.checks.model import CheckResult, Result
from ouchi.checks.traffic import Measurement
from ouchi.core.errors import Finding, Severity, Unhealthy, error
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.live.wire import Hop
from ouchi.plan import Plan


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every check, the measurements, whether they were made in this run, and what each hop carried meanwhile."""

    checks: tuple[CheckResult, ...]
    measurements: tuple[Measurement, ...]
    labels: tuple[str, ...]
    fresh: bool
    hops: tuple[Hop, ...] = ()

    def held(self) -> str:
        """Return how many checks hold, and how many have findings that are no errors."""
        found = sum(check.result is Result.FINDING for check in self.checks)
        text = f"{sum(check.result is Result.OK for check in self.checks)} checks hold"
        return f"{text}, {found} with warnings or remarks: ouchi doctor" if found else text

    def outcome(self) -> Outcome:
        """Return the stage's outcome. Raises :class:`~ouchi.core.errors.Unhealthy` with all :func:`failures`."""
        if found := failures(self.checks):
            raise Unhealthy(found)
        text = self.held()
        lossy = [hop for hop in self.hops if hop.own and hop.lost]
        text += "".join(f"; the wire itself lost {hop.lost} of {hop.sent} frames ({hop.name})" for hop in lossy)
        if self.fresh:
            return changed(text + "; traffic measured")
        return nothing(text + "; traffic was measured before and nothing has changed since")

    def to_json(self) -> dict[str, Any]:
        """Return checks, measurements and labels as plain JSON."""
        return {
            "checks": [check.to_json() for check in self.checks],
            "measurements": [asdict(measurement) for measurement in self.measurements],
            "labels": list(self.labels),
            "hops": [asdict(hop) | {"lost": hop.lost} for hop in self.hops],
        }


def failures(checks: Sequence[CheckResult]) -> list[Finding]:
    """Return the errors among the findings, and an error for each check that could not be evaluated."""
    findings = (finding for check in checks for finding in check.findings)
    return [*(finding for finding in findings if finding.severity is Severity.ERROR), *unknown_findings(checks)]


def unknown_findings(checks: Sequence[CheckResult]) -> list[Finding]:
    """Return an error for each check that could not be evaluated."""
    return [
        error(f"could not be checked: {check.title}", found=check.found, remedy="ouchi doctor, then: ouchi up")
        for check in checks
        if check.result is Result.UNKNOWN
    ]


def labels_of(plan: Plan, *, emulated: bool) -> tuple[str, ...]:
    """Return the labels that qualify every figure of a host."""
    labels = []
    if plan.overlapped:
        labels.append("overlapped: figures are not meaningful as performance")
    if emulated:
        labels.append("emulated guests (TCG): figures are not meaningful as performance")
    return tuple(labels)
