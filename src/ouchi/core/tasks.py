"""The task runner: tasks run in parallel, each as soon as the tasks that it needs are done."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ouchi.core import log
from ouchi.core.errors import Failed, Interrupted, OuchiError
from ouchi.core.events import EventKind, Notify, Timeline
from ouchi.core.outcome import Outcome

STOP_SECONDS = 5.0
"""How long running tasks may take to end after an interruption."""

Results = queue.SimpleQueue[tuple[str, Outcome | OuchiError] | None]
"""A task's name and its outcome or error; ``None``: Ctrl-C. A SimpleQueue, since signal handlers may put into no other."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a stage; ``needs`` are the names of tasks that must be done before it starts."""

    stage: str
    name: str
    run: Callable[[Notify], Outcome]
    needs: tuple[str, ...] = ()


def leading_to(tasks: Sequence[Task], name: str) -> list[Task]:
    """A task and all tasks that it needs, directly or indirectly, in their order."""
    by_name = {task.name: task for task in tasks}
    found: set[str] = set()
    pending = [name]
    while pending:
        if (current := pending.pop()) not in found:
            found.add(current)
            pending += by_name[current].needs
    return [task for task in tasks if task.name in found]


def run_tasks(tasks: Sequence[Task], timeline: Timeline, interrupt: Callable[[], None]) -> dict[str, Outcome]:
    """Run every task and return the outcomes by name.

    When a task fails, no further one starts; those that run are waited for, and all errors are raised as one. On
    Ctrl-C ``interrupt`` is called, which must end the programs that tasks wait for, and
    :class:`~ouchi.core.errors.Interrupted` is raised within a few seconds.
    """
    names = {task.name for task in tasks}
    if len(names) != len(tasks) or not {need for task in tasks for need in task.needs} <= names:
        raise ValueError("task names must be unique and needs must name tasks")
    waiting = list(tasks)
    running: set[str] = set()
    outcomes: dict[str, Outcome] = {}
    errors: list[OuchiError] = []
    results: Results = queue.SimpleQueue()
    with _ctrl_c(lambda: results.put(None)):
        while running or (waiting and not errors):
            if not errors:
                for task in [task for task in waiting if all(need in outcomes for need in task.needs)]:
                    waiting.remove(task)
                    running.add(task.name)
                    # Daemon threads: an interrupted run must not hang on a task that waits.
                    threading.Thread(target=_run, args=(task, timeline, results), daemon=True, name=task.name).start()
            if not running:
                raise ValueError(f"tasks need each other in a circle: {', '.join(task.name for task in waiting)}")
            if (result := results.get()) is None:
                _stop(running, results, interrupt)
                raise Interrupted.of(
                    "interrupted; nothing is lost",
                    found=f"{len(outcomes)} of {len(tasks)} tasks done",
                    remedy="run the same command again to continue, or: ouchi down",
                )
            name, outcome = result
            running.discard(name)
            if isinstance(outcome, OuchiError):
                errors.append(outcome)
            else:
                outcomes[name] = outcome
    if errors:
        raise _combined(errors)
    return outcomes


@contextlib.contextmanager
def _ctrl_c(handle: Callable[[], None]) -> Iterator[None]:
    """Call ``handle`` on Ctrl-C, in place of KeyboardInterrupt, which could be raised inside a lock or a queue.

    Only the main thread can set signal handlers, so in other threads this does nothing. Neither does it where SIGINT is
    ignored, as shells have it for background jobs.
    """
    in_other_thread = threading.current_thread() is not threading.main_thread()
    if in_other_thread or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, lambda _number, _frame: handle())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(task: Task, timeline: Timeline, results: Results) -> None:
    begin = time.monotonic()
    timeline.emit(EventKind.STARTED, task.stage, task.name)
    try:
        outcome = task.run(timeline.notify(task.stage, task.name))
    except OuchiError as failure:
        timeline.emit(EventKind.FAILED, task.stage, task.name, failure.findings[0].claim, time.monotonic() - begin)
        results.put((task.name, failure))
    except BaseException as bug:  # noqa: BLE001  # the end of a thread must reach the runner
        timeline.emit(EventKind.FAILED, task.stage, task.name, repr(bug), time.monotonic() - begin)
        log.write(log.LOCAL, "bug", (task.stage, task.name), note="".join(traceback.format_exception(bug)))
        frame = traceback.extract_tb(bug.__traceback__)[-1]
        found = f"{type(bug).__name__}: {str(bug)[:500]} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})"
        results.put((task.name, Failed.of(f"{task.stage}: {task.name} failed", found=found)))
    else:
        kind = EventKind.CHANGED if outcome.changed else EventKind.NOTHING
        timeline.emit(kind, task.stage, task.name, outcome.text, time.monotonic() - begin)
        results.put((task.name, outcome))


def _stop(running: set[str], results: Results, interrupt: Callable[[], None]) -> None:
    """Interrupt the running tasks and wait for them, at most :data:`STOP_SECONDS`."""
    interrupt()
    end = time.monotonic() + STOP_SECONDS
    while running and (left := end - time.monotonic()) > 0:
        try:
            result = results.get(timeout=left)
        except queue.Empty:
            break
        if result:  # None: a second Ctrl-C, which changes nothing
            running.discard(result[0])


def _combined(errors: Sequence[OuchiError]) -> OuchiError:
    """One error with all findings. Of several statuses the lowest is taken: bad input, which the user can correct."""
    findings = [finding for reason in errors for finding in reason.findings]
    worst = min(errors, key=lambda reason: reason.status)
    return type(worst)(findings) if type(worst).__init__ is OuchiError.__init__ else Failed(findings)
