"""``ouchi down``: remove every part, after the parts that need it; killed anywhere, the next run resumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ouchi.core.events import EventKind, Notify, Timeline
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.core.tasks import Task, run_tasks
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import Part
from ouchi.parts.registry import all_parts, needs_of


def down(
    machine: Machine, instance: Instance, timeline: Timeline, interrupt: Callable[[], None], *, purge: bool
) -> bool:
    """Stop everything of this instance and undo every change; return True if there was anything to do.

    The data (databases, images, guests' disks, passwords) is kept unless ``purge``. ``interrupt`` as for
    :func:`~ouchi.core.tasks.run_tasks`.
    """
    if not any(machine.exists(folder) for folder in (instance.state, instance.run, _removed(instance))):
        return False
    run_tasks(tasks(Context(machine, instance), purge=purge), timeline, interrupt)
    return any(event.kind is EventKind.CHANGED for event in timeline.events)


def tasks(at: Context, *, purge: bool) -> list[Task]:
    """The removal of every part that leaves something, after the parts that need it; then the supervisor and the folders."""
    parts = [part for part in all_parts() if type(part).remove is not Part.remove]
    return [
        *(
            Task(part.stage, part.name, partial(_remove, at, part), _dependents(part, parts))
            for part in reversed(parts)
        ),
        Task("host", "supervisor", partial(_shut_down, at), tuple(part.name for part in parts)),
        Task("host", "folders", partial(_remove_folders, at, purge=purge), ("supervisor",)),
    ]


def _dependents(part: Part, parts: Sequence[Part]) -> tuple[str, ...]:
    """The parts that need one, directly or not: they are removed before."""
    return tuple(other.name for other in parts if part.name in needs_of(other))


def _remove(at: Context, part: Part, _notify: Notify) -> Outcome:
    return part.remove(at)


def _shut_down(at: Context, _notify: Notify) -> Outcome:
    """End the supervisor, and every process that still carries our mark."""
    names = at.supervisor.states()
    at.supervisor.shutdown()
    return changed("stopped") if names else nothing("not running")


def _remove_folders(at: Context, _notify: Notify, *, purge: bool) -> Outcome:
    """Remove the run folder; with ``purge`` the data and logs too."""
    instance = at.instance
    # The state folder goes last: while it is there, a run that was killed here is continued by the next. It goes at once:
    # services would not start with half of it.
    folders = [instance.run, *((instance.logs, instance.state) if purge else ())]
    there = [folder for folder in folders if at.machine.exists(folder)]
    for folder in there:
        if folder == instance.state:
            at.machine.remove(_removed(instance))
            at.machine.run(("mv", "-T", "--", folder, _removed(instance)))
        else:
            at.machine.remove(folder)
    at.machine.remove(_removed(instance))
    kept = "" if purge else f"; data kept in {instance.state} (forget it with: ouchi down --purge)"
    return changed(f"removed: {', '.join(there)}{kept}") if there else nothing("no folder")


def _removed(instance: Instance) -> str:
    """The state folder while it is being deleted."""
    return f"{instance.state}.removed"
