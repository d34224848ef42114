"""The process that runs the user's rig in the background: ``python -m ouchi.rig.keeper FOLDER HOW``.

It starts the rig and boots it again whenever its guest resets itself; it ends when the rig is switched off or the
keeper is told to end, and the rig ends with it. What it is doing stands in a file, for the commands that come and go.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import PurePath
from typing import Any, NoReturn

import click

from ouchi.core.errors import Failed, Finding, OuchiError, Severity, error
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Launcher, Machine
from ouchi.machine.local import LocalMachine
from ouchi.rig.parts import Parts, read_parts
from ouchi.rig.places import Places
from ouchi.rig.rig import RESET, Rig

NEW, COLD, LOAD = "new", "cold", "load:"
"""How a rig starts: from a new disk, by a cold boot, or from the saved state named after ``load:``."""

DAY = 86400.0  # seconds


class Phase(StrEnum):
    """What the rig is doing."""

    STARTING = "starting"
    UP = "up"
    OFF = "off"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the keeper says of itself: phase, its last line, the rig's faults so far, and what it failed with."""

    phase: Phase
    text: str = ""
    faults: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For the file, and for ``--json``."""
        return asdict(self)


def read_kept(machine: Machine, places: Places) -> Kept | None:
    """What the keeper said last; None when it has said nothing that can be read."""
    if not machine.exists(places.status):
        return None
    try:
        told = json.loads(machine.read(places.status))
        findings = tuple(Finding(**{**one, "severity": Severity(one["severity"])}) for one in told["findings"])
        return Kept(Phase(told["phase"]), told["text"], tuple(told["faults"]), findings)
    except (ValueError, KeyError, TypeError):  # damaged, or of another ouchi
        return None


class Keeper:
    """Runs one rig from its start to its end."""

    def __init__(self, machine: Launcher, parts: Parts, places: Places) -> None:
        self._machine = machine
        self._places = places
        self._now = Kept(Phase.STARTING)
        self._rig = Rig(machine, parts, places.folder, self._say)

    def keep(self, how: str) -> None:
        """Start the rig and keep it until it is switched off. Raises :class:`~ouchi.core.errors.OuchiError`."""
        with self._rig as rig:
            try:
                self._tell(Phase.STARTING)
                self._start(how)
                self._tell(Phase.UP)
                while (reason := self._end()) == RESET:
                    self._tell(Phase.STARTING, text="it reset itself")
                    rig.boot()
                    self._tell(Phase.UP)
                self._tell(Phase.OFF, text=reason)
            except OuchiError as failure:
                self._tell(Phase.FAILED, findings=failure.findings)
                raise

    def _start(self, how: str) -> None:
        if how.startswith(LOAD):
            self._rig.load(how.removeprefix(LOAD))
        elif how == COLD:
            self._rig.boot()
        else:
            self._rig.up()

    def _end(self) -> str:
        """Wait for the rig's end, however long that takes."""

        def ended() -> str:
            if (reason := self._rig.ended()) is None:
                raise NotYet("it runs")
            return reason

        while True:
            try:
                return wait_for("the rig's end", ended, seconds=DAY, every=0.3)
            except Failed:
                continue

    def _say(self, text: str) -> None:
        click.echo(text)
        self._tell(self._now.phase, text=text)

    def _tell(self, phase: Phase, text: str = "", findings: tuple[Finding, ...] = ()) -> None:
        faults = tuple(self._rig.faults)
        self._now = replace(self._now, phase=phase, text=text, faults=faults, findings=findings)
        self._machine.write(self._places.status, json.dumps(self._now.to_json()), mode=0o600)


def main() -> int:
    """Keep the rig of the command line's folder; the exit status."""
    cache, folder, how = sys.argv[1:]
    machine, where = LocalMachine(), Places(PurePath(cache), PurePath(folder))
    signal.signal(signal.SIGTERM, _stop)
    try:
        parts = read_parts(machine, where.cache)
        if parts is None:
            raise Failed(error("nothing has been prepared", where=str(where.cache), remedy="ouchi rig up"))
        Keeper(machine, parts, where).keep(how)
    except OuchiError as failure:
        click.echo(failure)
        return failure.status
    except OSError as reason:
        click.echo(error("the rig cannot be kept", where=str(reason.filename or where.folder), found=str(reason)))
        return Failed.status
    return 0


def _stop(_number: int, _frame: object) -> NoReturn:
    """Leave the rig's context, which cuts its power."""
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
