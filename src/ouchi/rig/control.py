"""Control of the user's rig, which a keeper process runs in the background."""

from __future__ import annotations

import sys

from ouchi.core.errors import Failed, Unhealthy
from ouchi.core.events import Notify
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import processes
from ouchi.machine.background import Background, Launcher
from ouchi.rig import states
from ouchi.rig.assets import read_assets, require_same
from ouchi.rig.hardware import Files
from ouchi.rig.keeper import COLD, LOAD, NEW, KeeperStatus, Phase, read_status
from ouchi.rig.monitor import Monitor
from ouchi.rig.paths import RigPaths

UP_SECONDS = 1200.0
"""Enough for three cold boots on a busy machine."""
END_SECONDS = 15.0
QUIT = "host-qmp-quit"
"""QEMU's reason for an end by the command ``quit``, which follows the saving of the state here."""


POWERED_OFF = "the rig was still booting and was powered off; boot it from its disk with: ouchi rig up"


def has_processes(paths: RigPaths) -> bool:
    """True while the keeper or its QEMU is there."""
    return bool(processes.marked(paths.mark))


def is_running(machine: Launcher, paths: RigPaths) -> bool:
    """True while the rig is up or starting. One that has ended or failed may still have its keeper for a moment."""
    status = read_status(machine, paths)
    return has_processes(paths) and (status is None or status.phase in (Phase.STARTING, Phase.UP))


def resume_mode(machine: Launcher, paths: RigPaths) -> str:
    """The way to start a rig that was suspended, powered off, or was never there."""
    files, assets = Files(paths.folder), read_assets(machine, paths.cache)
    if assets is None or not machine.exists(files.disk):
        return NEW
    require_same(machine, assets, paths.folder)
    # A suspended state is of use only if nothing has run since: the disk would have changed.
    status = read_status(machine, paths)
    return LOAD + states.SUSPENDED if status and is_suspended(status) else COLD


def is_suspended(status: KeeperStatus) -> bool:
    """True when the rig ended by :func:`suspend`."""
    return (status.phase, status.text) == (Phase.OFF, QUIT)


def start(machine: Launcher, paths: RigPaths, how: str, notify: Notify) -> KeeperStatus:
    """End the rig where it runs, start a keeper for it, and wait until it is up.

    Raises :class:`~ouchi.core.errors.Failed` with the keeper's findings.
    """
    end(paths)
    machine.make_folder(paths.folder, mode=0o700)
    machine.remove(paths.status)
    argv = (sys.executable, "-P", "-m", "ouchi.rig.keeper", str(paths.cache), str(paths.folder), how)
    keeper = machine.start(argv, log=paths.log, env=paths.environment)
    return await_up(machine, paths, notify, keeper)


def await_up(machine: Launcher, paths: RigPaths, notify: Notify, keeper: Background | None = None) -> KeeperStatus:
    """Wait until a starting rig is up. Raises :class:`~ouchi.core.errors.Failed` with the keeper's findings."""
    shown = ""

    def up() -> KeeperStatus:
        nonlocal shown
        status = read_status(machine, paths)
        if status and status.phase is Phase.FAILED:
            raise Failed(status.findings)
        if status and status.phase is Phase.UP:
            return status
        if (keeper.status() is not None) if keeper else not has_processes(paths):
            output = (keeper.log_tail() if keeper else "") or "no output; is the disk full?"
            raise Failed.of("the rig's keeper ended", where=str(paths.log), found=output, remedy="ouchi rig up")
        if status and status.text != shown:
            shown = status.text
            notify(shown)
        raise NotYet(shown or "nothing")

    return wait_for("the rig", up, seconds=UP_SECONDS, every=0.1, remedy="ouchi rig down, then: ouchi rig up")


def save(machine: Launcher, paths: RigPaths, name: str) -> None:
    """Save the running rig's state. Raises :class:`~ouchi.core.errors.Unhealthy` when it does not run."""
    states.require_name(name)
    require_up(machine, paths)
    try:
        monitor = Monitor(Files(paths.folder).commands)
    except OSError as reason:
        raise Unhealthy.of(
            "the rig does not answer",
            where=str(Files(paths.folder).commands),
            found=str(reason),
            expected="its QEMU; it may be resetting itself just now",
            remedy="ouchi rig up, which waits for it, then the same again",
        ) from None
    with monitor:
        states.save_state(monitor, name)


def saved(machine: Launcher, paths: RigPaths) -> list[states.SavedState]:
    """The saved states, oldest first."""
    assets = read_assets(machine, paths.folder)
    return states.saved_states(machine, assets.tools, Files(paths.folder).disk) if assets else []


def suspend(machine: Launcher, paths: RigPaths) -> str:
    """Save the state of the rig where it is up, and end it; what was done, as a message for the user."""
    if not has_processes(paths):
        return "nothing to do: the rig is not up"
    status = read_status(machine, paths)
    if status is None or status.phase is not Phase.UP:
        end(paths)
        return POWERED_OFF
    try:
        monitor = Monitor(Files(paths.folder).commands)
    except OSError:  # it resets itself or is being powered off
        end(paths)
        return POWERED_OFF
    with monitor:
        states.save_state(monitor, states.SUSPENDED)
        monitor.execute("quit")

    def gone() -> None:
        if has_processes(paths):
            raise NotYet("its keeper still runs")

    wait_for("the rig's end", gone, seconds=END_SECONDS)
    return "the rig is suspended; resume it with: ouchi rig up"


def end(paths: RigPaths) -> None:
    """End the keeper and the rig at once."""
    if left := processes.end(paths.mark, polite_seconds=END_SECONDS):
        raise Failed.of(
            "the rig does not end", found=", ".join(str(process.pid) for process in left), remedy="ouchi rig down"
        )


def require_up(machine: Launcher, paths: RigPaths) -> KeeperStatus:
    """The status of a running rig. Raises :class:`~ouchi.core.errors.Unhealthy` when it does not run."""
    status = read_status(machine, paths)
    if status and status.phase is Phase.UP and has_processes(paths):
        return status
    if status is None:
        found = "it was never started"
    elif status.phase is Phase.UP:
        found = "its keeper was killed"
    else:
        found = f"{status.phase}: {status.text}" if status.text else str(status.phase)
    raise Unhealthy.of("the rig is not up", where=str(paths.folder), found=found, remedy="ouchi rig up")
