"""``ouchi rig``: start the user's rig, save and load its states, stop it, and delete it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ouchi.core.errors import Failed
from ouchi.core.events import Notify, Timeline
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.tasks import Task, run_tasks
from ouchi.machine.background import Launcher
from ouchi.rig import control, states
from ouchi.rig.assets import read_assets, require_same
from ouchi.rig.base import prepare, remove_unused
from ouchi.rig.hardware import Shape
from ouchi.rig.keeper import COLD, LOAD, NEW, KeeperStatus
from ouchi.rig.paths import RigPaths

STARTS = {"new": NEW, "cold": COLD}
"""The ways to start that a user can choose, by option."""


@contextlib.contextmanager
def file_errors(paths: RigPaths) -> Iterator[None]:
    """Raise errors of the rig's files as :class:`~ouchi.core.errors.Failed`."""
    try:
        yield
    except BrokenPipeError:  # nobody reads what is printed
        raise
    except OSError as reason:
        raise Failed.of(
            "a file of the rig cannot be read or written",
            where=str(reason.filename or paths.folder),
            found=reason.strerror or str(reason),
            expected="folders that are yours, with 2 GB of room",
            remedy="make room there, or choose others with XDG_CACHE_HOME and XDG_STATE_HOME; then the same again",
        ) from None


def up(
    machine: Launcher,
    paths: RigPaths,
    option: str | None,
    shape: Shape | None,
    timeline: Timeline,
    interrupt: Callable[[], None],
) -> KeeperStatus:
    """Start the rig, or wait until it is up; its assets are made first where they are missing.

    ``option`` is a key of :data:`STARTS`, or None to resume it where it was stopped; ``shape`` is None for the one that it
    has. Raises :class:`~ouchi.core.errors.BadInput` where it has another shape and is not to be new.
    """
    there = read_assets(machine, paths.folder)
    chosen = shape or (there.shape if there else Shape.ONE_NODE)
    if there and option != "new" and there.shape is not chosen:
        require_same(machine, replace(there, shape=chosen), paths.folder)

    def make_assets(notify: Notify) -> Outcome:
        messages: list[str] = []

        def note(text: str) -> None:
            messages.append(text)
            notify(text)

        prepare(machine, paths.cache, note, chosen)
        return changed("made") if messages else nothing("there already")

    def start(notify: Notify) -> Outcome:
        if control.is_running(machine, paths) and not option:
            control.await_up(machine, paths, notify)
            return nothing("it is up")
        begin = time.monotonic()
        how = STARTS[option] if option else control.resume_mode(machine, paths)
        control.start(machine, paths, how, notify)
        remove_unused(machine, paths.cache, read_assets(machine, paths.folder))
        return changed(f"up after {time.monotonic() - begin:.1f} s")

    tasks = [Task("rig", "assets", make_assets), Task("rig", "start", start, ("assets",))]
    run_tasks(tasks, timeline, interrupt)
    return control.require_up(machine, paths)


def load(
    machine: Launcher, paths: RigPaths, name: str, timeline: Timeline, interrupt: Callable[[], None]
) -> KeeperStatus:
    """Go back to a saved state. Raises :class:`~ouchi.core.errors.BadInput` where there is none of that name."""
    states.require_state(control.saved(machine, paths), name)

    def start(notify: Notify) -> Outcome:
        control.start(machine, paths, LOAD + name, notify)
        return changed(f"{name} loaded")

    run_tasks([Task("rig", "start", start)], timeline, interrupt)
    return control.require_up(machine, paths)


def purge(machine: Launcher, paths: RigPaths) -> bool:
    """Stop the rig and delete its disk, states and assets; False when there was nothing."""
    control.end(paths)
    existed = machine.exists(paths.folder) or machine.exists(paths.cache)
    machine.remove(paths.folder)
    machine.remove(paths.cache)
    return existed
