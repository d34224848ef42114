"""The state of a host as a value: one line for each part, and a finding for each cause of a difference from the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ouchi.checks.model import CheckResult
from ouchi.core.errors import Finding, Severity, error
from ouchi.parts.daemon import NOT_STARTED, UNSUPERVISED
from ouchi.parts.part import Part, PartState

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class PartLine:
    """The current state of a part, with its name and stage."""

    stage: str
    name: str
    state: PartState

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"part": self.name, "stage": self.stage, **asdict(self.state)}


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A host at one moment: whether ouchi is up, its parts by stage, what is wrong, and the checks made."""

    up: bool
    labels: tuple[str, ...]
    parts: tuple[PartLine, ...]
    findings: tuple[Finding, ...]
    checks: tuple[CheckResult, ...] = ()

    @property
    def healthy(self) -> bool:
        """Up, and every part as it should be."""
        return self.up and all(line.state.ok for line in self.parts) and not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make it unhealthy."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    def to_json(self) -> dict[str, Any]:
        """The status as plain JSON."""
        return {
            "schema": SCHEMA,
            "up": self.up,
            "healthy": self.healthy,
            "labels": list(self.labels),
            "parts": [line.to_json() for line in self.parts],
            "checks": [check.to_json() for check in self.checks],
            "findings": [finding.to_json() for finding in self.findings],
        }


def findings_of(parts: Sequence[Part], states: Mapping[str, PartState]) -> list[Finding]:
    """One finding for each cause: a part that needs one that is wrong adds nothing, nor do many that are not started."""
    # Those that are unsupervised follow from the supervisor, which has a finding of its own.
    wrong = {part.name for part in parts if states[part.name].ok is False and states[part.name].state != UNSUPERVISED}
    causes = [part for part in parts if part.name in wrong and not wrong & _needed(part, parts)]
    absent = [part for part in parts if states[part.name].state == NOT_STARTED]
    if len(absent) > 1:
        names = [name for part in absent for name in part.service_names]
        together = error(
            f"{len(names)} services are not started",
            found=", ".join(names),
            expected="all of them running",
            remedy="ouchi up",
        )
        return [together, *(_finding(part, states[part.name]) for part in causes if part not in absent)]
    return [_finding(part, states[part.name]) for part in causes]


def _needed(part: Part, parts: Sequence[Part]) -> set[str]:
    """The names of all that a part needs, directly or not."""
    by_name = {other.name: other for other in parts}
    found: set[str] = set()
    waiting = list(part.needs)
    while waiting:
        if (name := waiting.pop()) in by_name and name not in found:
            found.add(name)
            waiting += by_name[name].needs
    return found


def _finding(part: Part, state: PartState) -> Finding:
    remedy = state.remedy
    if part.service_names and state.state not in (NOT_STARTED, "missing"):
        remedy = f"ouchi logs {next((s.name for s in state.services if not s.pid), part.service_names[0])}"
    return error(f"{part.name}: {state.state}", found=state.found, expected=_expected(part), remedy=remedy)


def _expected(part: Part) -> str:
    return f"running: {', '.join(part.service_names)}" if part.service_names else "as planned"
