"""The process that runs the user's rig in the background: ``python -m ouchi.rig.keeper FOLDER HOW``.

It starts the rig and boots it again whenever its guest resets itself. It ends when the rig is powered off, and the rig
ends with it. Its status is in a file, for the commands of ``ouchi rig``.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import PurePath
from typing import Any

import click

from ouchi.core.errors import Failed, Finding, OuchiError, error
from ouchi.core.plain import from_json
from ouchi.machine import Machine
from ouchi.machine.background import Launcher
from ouchi.machine.local import LocalMachine
from ouchi.rig.assets import Assets, read_assets
from ouchi.rig.paths import RigPaths
from ouchi.rig.rig import RESET, Rig

NEW, COLD, LOAD = "new", "cold", "load:"
"""The ways to start a rig: from a new disk, by a cold boot, or from the saved state named after ``load:``."""


class Phase(StrEnum):
    """The phase that the rig is in."""

    STARTING = "starting"
    UP = "up"
    OFF = "off"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class KeeperStatus:
    """The keeper's status: phase, last message, the rig's faults so far, and the findings it failed with."""

    phase: Phase
    text: str
    faults: tuple[str, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


def read_status(machine: Machine, paths: RigPaths) -> KeeperStatus | None:
    """The keeper's last status; None when there is none, or it cannot be read."""
    if not machine.exists(paths.status):
        return None
    try:
        return from_json(KeeperStatus, machine.read_bytes(paths.status))
    except ValueError:  # damaged, or by another version of ouchi
        return None


class Keeper:
    """Runs one rig from its start to its end."""

    def __init__(self, machine: Launcher, assets: Assets, paths: RigPaths) -> None:
        self._machine = machine
        self._paths = paths
        self._status = KeeperStatus(Phase.STARTING, "", (), ())
        self._rig = Rig(machine, assets, paths.folder, self._notify)

    def keep(self, how: str) -> None:
        """Start the rig and keep it running until it is powered off. Raises :class:`~ouchi.core.errors.OuchiError`."""
        with self._rig as rig:
            try:
                self._set(Phase.STARTING)
                self._start(how)
                self._set(Phase.UP)
                while (reason := self._wait_for_end()) == RESET:
                    self._set(Phase.STARTING, text="it reset itself")
                    rig.boot()
                    self._set(Phase.UP)
                self._set(Phase.OFF, text=reason)
            except OuchiError as failure:
                self._set(Phase.FAILED, findings=failure.findings)
                raise

    def _start(self, how: str) -> None:
        if how.startswith(LOAD):
            self._rig.load(how.removeprefix(LOAD))
        elif how == COLD:
            self._rig.boot()
        else:
            self._rig.up()

    def _wait_for_end(self) -> str:
        """Wait for the end of the rig's QEMU without a time limit; return its reason."""
        while (reason := self._rig.ended()) is None:
            time.sleep(0.3)
        return reason

    def _notify(self, text: str) -> None:
        click.echo(text)
        self._set(self._status.phase, text=text)

    def _set(self, phase: Phase, text: str = "", findings: tuple[Finding, ...] = ()) -> None:
        faults = tuple(self._rig.faults)
        self._status = replace(self._status, phase=phase, text=text, faults=faults, findings=findings)
        self._machine.write(self._paths.status, json.dumps(self._status.to_json()), mode=0o600)


def main() -> int:
    """Run the keeper for the folder on the command line; the exit status."""
    cache, folder, how = sys.argv[1:]
    machine, paths = LocalMachine(), RigPaths(PurePath(cache), PurePath(folder))
    # This leaves the rig's context, which powers it off.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    try:
        assets = read_assets(machine, paths.cache)
        if assets is None:
            raise Failed.of("nothing has been prepared", where=str(paths.cache), remedy="ouchi rig up")
        Keeper(machine, assets, paths).keep(how)
    except OuchiError as failure:
        click.echo(failure)
        return failure.status
    except OSError as reason:
        click.echo(
            error("the rig cannot be kept running", where=str(reason.filename or paths.folder), found=str(reason))
        )
        return Failed.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
