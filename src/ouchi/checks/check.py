"""One claim about the running host, with what was found and what the plan expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ouchi.core.errors import Finding, error


@dataclass(frozen=True, slots=True)
class Check:
    """``name`` says what should be so; ``ok`` whether it is."""

    name: str
    ok: bool
    found: str
    expected: str
    remedy: str = "ouchi status"

    def finding(self) -> Finding:
        """The check as an error finding."""
        return error(f"not as planned: {self.name}", found=self.found, expected=self.expected, remedy=self.remedy)

    def to_json(self) -> dict[str, Any]:
        """A flat JSON object."""
        return {"name": self.name, "ok": self.ok, "found": self.found, "expected": self.expected}
