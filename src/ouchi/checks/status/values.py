"""The state of a host as a value: one part after another, each beside what it should be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ouchi.checks.check import Check
from ouchi.core.errors import Finding, Severity, error

SCHEMA = 1

LAYERS = ("host", "dataplane", "cloud", "servers")
"""From the machine up: the order in which parts are shown."""

NOT_ASKED = "not asked"
"""The state of a part that could not be looked at because another one, which is shown as well, is down."""

DIFFERS = "not as planned"
"""The state of a part that a check of what should be so found otherwise; its detail is what should be so."""

NOT_STARTED = "not started"
"""The state of a service that its supervisor does not know."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the host as it is now.

    ``kind`` says what it is (``service``, ``port``, ``guest`` …), ``state`` how it is in a word or two, ``found`` and
    ``expected`` the evidence; ``detail`` is a note, such as how often a service was restarted. ``remedy`` is the
    next command where it is not ``ok``.
    """

    layer: str
    kind: str
    part: str
    state: str
    ok: bool
    found: str = ""
    expected: str = ""
    detail: str = ""
    remedy: str = "ouchi up"

    @property
    def label(self) -> str:
        """Kind and name for people; a service's name says enough."""
        return self.part if self.kind == "service" else f"{self.kind} {self.part}".strip()

    def finding(self) -> Finding:
        """The part as an error finding."""
        about = f"{self.label}: {self.state}"
        if self.state == DIFFERS:
            return error(f"{about}: {self.detail}", found=self.found, expected=self.expected, remedy=self.remedy)
        found = "; ".join(filter(None, (self.found, self.detail)))
        return error(about, found=found, expected=self.expected, remedy=self.remedy)

    def to_json(self) -> dict[str, Any]:
        """A flat JSON object."""
        return {
            "part": self.part,
            "kind": self.kind,
            "layer": self.layer,
            "state": self.state,
            "ok": self.ok,
            "found": self.found,
            "expected": self.expected,
            "detail": self.detail,
        }


def not_asked(layer: str, name: str, down: str) -> Part:
    """A part that cannot answer while ``down`` is down."""
    return Part(layer, "", name, NOT_ASKED, False, found=f"{down} is down")


def of_check(check: Check, layer: str, kind: str) -> Part:
    """A check of :mod:`ouchi.checks.verify`, ``SUBJECT: what should be so``, as a part; ``detail`` is what should be so."""
    subject, _, claim = check.name.rpartition(": ")
    # Status is what the user is reading.
    remedy = check.remedy if check.remedy != "ouchi status" else "ouchi up"
    named = (kind, subject) if subject else ("", kind)
    state = "as planned" if check.ok else DIFFERS
    return Part(layer, *named, state, check.ok, check.found, check.expected, claim, remedy)


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A host at one moment: whether ouchi is up, its parts by layer, what is not as it should be, and the labels."""

    up: bool
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Up, and every part as planned."""
        return self.up and all(part.ok for part in self.parts) and not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make it unhealthy."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    def to_json(self) -> dict[str, Any]:
        """The status as plain JSON, version 1."""
        return {
            "schema": SCHEMA,
            "up": self.up,
            "healthy": self.healthy,
            "labels": list(self.labels),
            "parts": [part.to_json() for part in self.parts],
            "findings": [finding.to_json() for finding in self.findings],
        }


def by_layer(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts from the machine up, within a layer as they came."""
    return tuple(sorted(parts, key=lambda part: LAYERS.index(part.layer)))


def findings_of(parts: Iterable[Part]) -> tuple[Finding, ...]:
    """One finding for each cause: what was not asked follows from another, services not started belong together."""
    wrong = [part for part in parts if not part.ok and part.state != NOT_ASKED]
    absent = [part for part in wrong if part.kind == "service" and part.state == NOT_STARTED]
    if len(absent) < 2:
        return tuple(part.finding() for part in wrong)
    together = error(
        f"{len(absent)} services are not started",
        found=", ".join(part.part for part in absent),
        expected="all of them running",
        remedy="ouchi up",
    )
    return (together, *(part.finding() for part in wrong if part not in absent))
