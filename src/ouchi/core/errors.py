"""Findings, and the exceptions that carry them.

A finding is a statement about a machine, a file or a run, with evidence and the next step. An exception carries one or
more, so that everything that is wrong is reported at once, and the terminal and ``--json`` show the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import Self

from ouchi.core.printable import printable


class Severity(StrEnum):
    """The severity of a finding: ``error`` stops the stage, ``warning`` and ``info`` do not."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim, where it was seen, what was found and expected, the next step, and why it matters.

    Members other than the severity and the claim may be empty. Texts may come from other users, hosts and files: control
    characters, which a terminal would obey, are replaced.
    """

    severity: Severity
    claim: str
    where: str = ""
    found: str = ""
    expected: str = ""
    remedy: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        for name in ("claim", "where", "found", "expected", "remedy", "why"):
            text = getattr(self, name)
            if not text.isprintable():
                object.__setattr__(self, name, printable(text))

    def to_json(self) -> dict[str, str]:
        """The finding as a flat JSON object; empty members are left out."""
        return {key: str(value) for key, value in asdict(self).items() if value}

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        lines = [f"{self.severity}: {where}{self.claim}"]
        members = (("found", self.found), ("expected", self.expected), ("why", self.why), ("next", self.remedy))
        for label, text in members:
            if text:
                lines.append(f"  {label + ':':<10}{text}")
        return "\n".join(lines)


error = partial(Finding, Severity.ERROR)
"""A finding that stops the stage."""

warning = partial(Finding, Severity.WARNING)
"""A finding that the user should read and that stops nothing."""

info = partial(Finding, Severity.INFO)
"""A finding that needs no action."""


class OuchiError(Exception):
    """An error for the user: one or more findings and the exit status they mean."""

    status = 3

    def __init__(self, findings: Finding | Iterable[Finding]) -> None:
        self.findings = (findings,) if isinstance(findings, Finding) else tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))

    @classmethod
    def of(
        cls, claim: str, *, where: str = "", found: str = "", expected: str = "", remedy: str = "", why: str = ""
    ) -> Self:
        """The error with one finding, of these members."""
        return cls(error(claim, where, found, expected, remedy, why))


class Unhealthy(OuchiError):
    """The host runs, but not as planned (exit 1)."""

    status = 1


class BadInput(OuchiError):
    """A file, an option or the machine cannot be used as it is (exit 2); nothing was changed."""

    status = 2


class Failed(OuchiError):
    """Something did not work (exit 3)."""

    status = 3


class Interrupted(OuchiError):
    """The user interrupted it (exit 130)."""

    status = 130
