"""Where everything of ouchi lives.

One instance owns a state folder (kept by ``down``), a run folder (gone after ``down``) and a mark that every
process and object of it carries.
"""

from __future__ import annotations

from dataclasses import dataclass

MARK = "OUCHI_INSTANCE"
"""The environment variable that marks every process of ours."""


@dataclass(frozen=True, slots=True)
class Instance:
    """The folders and names of one installation on a machine."""

    name: str = "ouchi"
    state: str = "/var/lib/ouchi"
    run: str = "/run/ouchi"
    logs: str = "/var/log/ouchi"

    @property
    def environment(self) -> dict[str, str]:
        """What every process of this instance carries."""
        return {MARK: self.name}
