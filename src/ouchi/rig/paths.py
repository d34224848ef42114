"""The folders and files of the user's rig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.instance import MARK
from ouchi.machine.processes import SERVICE_MARK


@dataclass(frozen=True, slots=True)
class RigPaths:
    """The folder of the assets, which are made once, and the folder of the rig itself."""

    cache: PurePath
    folder: PurePath

    @property
    def mark(self) -> str:
        """The instance mark of the rig's processes."""
        return f"ouchi-rig:{self.folder}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that mark the rig's processes."""
        return {MARK: self.mark, SERVICE_MARK: "rig"}

    @property
    def status(self) -> PurePath:
        """The keeper's status, as JSON."""
        return self.folder / "status.json"

    @property
    def log(self) -> PurePath:
        """The keeper's output."""
        return self.folder / "keeper.log"

    @property
    def ssh_config(self) -> PurePath:
        """A configuration for ``ssh -F FILE rig``."""
        return self.folder / "ssh_config"

    @property
    def lock(self) -> PurePath:
        """The lock file of commands that change the rig; beside the folders, which ``down --purge`` removes."""
        return self.cache.with_name("rig.lock")


def rig_paths(environment: Mapping[str, str]) -> RigPaths:
    """The paths by the XDG base directory specification: assets in the cache folder, the rig in the state folder."""
    home = PurePath(environment.get("HOME") or "/root")
    cache = _absolute(environment.get("XDG_CACHE_HOME")) or home / ".cache"
    state = _absolute(environment.get("XDG_STATE_HOME")) or home / ".local/state"
    return RigPaths(cache / "ouchi/rig", state / "ouchi/rig")


def _absolute(text: str | None) -> PurePath | None:
    """An absolute path from a variable; the specification has relative ones ignored."""
    path = PurePath(text or "")
    return path if path.is_absolute() else None
