"""Where the user's rig lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.instance import MARK
from ouchi.machine.processes import SERVICE_MARK


@dataclass(frozen=True, slots=True)
class Places:
    """The folder of what is made once, and the folder of the rig itself."""

    cache: PurePath
    folder: PurePath

    @property
    def mark(self) -> str:
        """What every process of this rig carries."""
        return f"ouchi-rig:{self.folder}"

    @property
    def environment(self) -> dict[str, str]:
        """The marks as variables."""
        return {MARK: self.mark, SERVICE_MARK: "rig"}

    @property
    def status(self) -> PurePath:
        """What the keeper says of itself."""
        return self.folder / "status.json"

    @property
    def log(self) -> PurePath:
        """What the keeper printed."""
        return self.folder / "keeper.log"

    @property
    def ssh_config(self) -> PurePath:
        """A file for ``ssh -F FILE rig``."""
        return self.folder / "ssh_config"


def places(environment: Mapping[str, str]) -> Places:
    """By the XDG rules: what can be made again in the cache, the rig's own disk in the state folder."""
    home = PurePath(environment.get("HOME") or "/root")
    cache = _absolute(environment.get("XDG_CACHE_HOME")) or home / ".cache"
    state = _absolute(environment.get("XDG_STATE_HOME")) or home / ".local/state"
    return Places(cache / "ouchi/rig", state / "ouchi/rig")


def _absolute(text: str | None) -> PurePath | None:
    """A folder from a variable; the rules have relative ones ignored."""
    path = PurePath(text or "")
    return path if path.is_absolute() else None
