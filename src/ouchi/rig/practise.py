"""The user's rig as the commands see it: kept by a process in the background."""

from __future__ import annotations

import sys
from enum import StrEnum

from ouchi.core.errors import Failed, Finding, Unhealthy, error
from ouchi.core.events import Say
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Launcher, processes
from ouchi.machine.background import Background
from ouchi.rig import states
from ouchi.rig.hardware import Files
from ouchi.rig.keeper import COLD, LOAD, NEW, Kept, Phase, read_kept
from ouchi.rig.monitor import Monitor
from ouchi.rig.parts import read_parts, require_same
from ouchi.rig.places import Places

UP_SECONDS = 1200.0
"""Three attempts at a cold boot on a busy machine."""
END_SECONDS = 15.0
ASKED = "host-qmp-quit"
"""What QEMU calls an end that it was asked for: here, after its state was saved."""


class Away(StrEnum):
    """What became of a rig that was to be put away, in words."""

    NOTHING = "nothing to do: the rig is not up"
    SAVED = "the rig is put away; it goes on with: ouchi rig up"
    CUT = "the rig was not up and was cut off; it boots from its disk with: ouchi rig up"


def is_kept(places: Places) -> bool:
    """True while a keeper or a rig of it is there."""
    return bool(processes.marked(places.mark))


def is_running(machine: Launcher, places: Places) -> bool:
    """True while the rig is up or on its way; one that has just ended, or failed, may still have its keeper."""
    kept = read_kept(machine, places)
    return is_kept(places) and (kept is None or kept.phase in (Phase.STARTING, Phase.UP))


def go_on(machine: Launcher, places: Places) -> str:
    """How a rig starts that was put away, switched off, or was never there."""
    files, parts = Files(places.folder), read_parts(machine, places.cache)
    if parts is None or not machine.exists(files.disk):
        return NEW
    require_same(machine, parts, places.folder)
    # A state that was put away is of use only as the last thing that happened: the disk may have gone on since.
    kept = read_kept(machine, places)
    return LOAD + states.LEFT if kept and (kept.phase, kept.text) == (Phase.OFF, ASKED) else COLD


def start(machine: Launcher, places: Places, how: str, say: Say) -> Kept:
    """End the rig when it runs, start a keeper for it, and wait until it is up.

    Raises :class:`~ouchi.core.errors.Failed` with what the keeper failed with.
    """
    end(places)
    machine.make_folder(places.folder, mode=0o700)
    machine.remove(places.status)
    argv = (sys.executable, "-P", "-m", "ouchi.rig.keeper", str(places.cache), str(places.folder), how)
    keeper = machine.start(argv, log=places.log, env=places.environment)
    return await_up(machine, places, say, keeper)


def await_up(machine: Launcher, places: Places, say: Say, keeper: Background | None = None) -> Kept:
    """Wait until a rig that starts is up. Raises :class:`~ouchi.core.errors.Failed` with what it failed with."""
    told = ""

    def up() -> Kept:
        nonlocal told
        kept = read_kept(machine, places)
        if kept and kept.phase is Phase.FAILED:
            raise Failed(kept.findings)
        if kept and kept.phase is Phase.UP:
            return kept
        if (keeper.status() is not None) if keeper else not is_kept(places):
            said = (keeper.said() if keeper else "") or "it could say nothing; is the disk full?"
            raise Failed(error("the rig's keeper ended", where=str(places.log), found=said, remedy="ouchi rig up"))
        if kept and kept.text != told:
            told = kept.text
            say(told)
        raise NotYet(told or "nothing")

    return wait_for("the rig", up, seconds=UP_SECONDS, every=0.1, remedy="ouchi rig down, then: ouchi rig up")


def save(machine: Launcher, places: Places, name: str) -> None:
    """Save the running rig's state. Raises :class:`~ouchi.core.errors.Unhealthy` when it does not run."""
    states.require_name(name)
    require_up(machine, places)
    try:
        door = Monitor(Files(places.folder).door)
    except OSError as reason:
        raise Unhealthy(_silent(places, reason)) from None
    with door:
        states.save_state(door, name)


def saved(machine: Launcher, places: Places) -> list[states.State]:
    """What has been saved, oldest first."""
    parts = read_parts(machine, places.folder)
    return states.states(machine, parts.tools, Files(places.folder).disk) if parts else []


def put_away(machine: Launcher, places: Places) -> Away:
    """End the rig; what it was doing is saved when it was up."""
    if not is_kept(places):
        return Away.NOTHING
    kept = read_kept(machine, places)
    if kept is None or kept.phase is not Phase.UP:
        end(places)
        return Away.CUT
    try:
        door = Monitor(Files(places.folder).door)
    except OSError:  # it resets itself or is switched off just now
        end(places)
        return Away.CUT
    with door:
        states.save_state(door, states.LEFT)
        door.ask("quit")

    def gone() -> None:
        if is_kept(places):
            raise NotYet("its keeper is there")

    wait_for("the rig's end", gone, seconds=END_SECONDS)
    return Away.SAVED


def end(places: Places) -> None:
    """End the keeper and the rig at once."""
    if left := processes.end(places.mark, polite_seconds=END_SECONDS):
        raise Failed(
            error(
                "the rig does not end", found=", ".join(str(process.pid) for process in left), remedy="ouchi rig down"
            )
        )


def require_up(machine: Launcher, places: Places) -> Kept:
    """What the keeper of a running rig says. Raises :class:`~ouchi.core.errors.Unhealthy` when it does not run."""
    kept = read_kept(machine, places)
    if kept and kept.phase is Phase.UP and is_kept(places):
        return kept
    if kept is None:
        found = "it was never started"
    elif kept.phase is Phase.UP:
        found = "its keeper was killed"
    else:
        found = f"{kept.phase}: {kept.text}" if kept.text else str(kept.phase)
    raise Unhealthy(error("the rig is not up", where=str(places.folder), found=found, remedy="ouchi rig up"))


def _silent(places: Places, reason: OSError) -> Finding:
    return error(
        "the rig does not answer",
        where=str(Files(places.folder).door),
        found=str(reason),
        expected="its QEMU; it may be resetting itself just now",
        remedy="ouchi rig up, which waits for it, then the same again",
    )
