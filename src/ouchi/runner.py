"""Running tasks side by side, each as soon as what it needs is done."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ouchi.errors import Failed, Finding, Interrupted, OuchiError, error
from ouchi.events import Kind, Say, Timeline
from ouchi.steps import Outcome


@dataclass(frozen=True, slots=True)
class Task:
    """A named piece of a stage; ``needs`` are names of tasks that must be done before."""

    stage: str
    name: str
    run: Callable[[Say], Outcome]
    needs: tuple[str, ...] = ()


def run_tasks(tasks: Sequence[Task], timeline: Timeline, interrupt: Callable[[], None]) -> dict[str, Outcome]:
    """Run every task and return their outcomes by name.

    When one fails no further task starts, those under way are waited for, and everything that failed is raised
    together. On Ctrl-C ``interrupt`` is called (it ends the programs that tasks wait for) and
    :class:`~ouchi.errors.Interrupted` raised within a few seconds.
    """
    names = [task.name for task in tasks]
    if len(set(names)) != len(names) or not {need for task in tasks for need in task.needs} <= set(names):
        raise ValueError("task names must be unique and needs must name tasks")
    waiting = list(tasks)
    running: set[str] = set()
    outcomes: dict[str, Outcome] = {}
    failures: list[OuchiError] = []
    answers: queue.Queue[tuple[str, Outcome | OuchiError]] = queue.Queue()
    try:
        while running or (waiting and not failures):
            if not failures:
                for task in [task for task in waiting if all(need in outcomes for need in task.needs)]:
                    waiting.remove(task)
                    running.add(task.name)
                    # Daemons: an interrupted run must not hang on a task that waits.
                    threading.Thread(target=_run, args=(task, timeline, answers), daemon=True, name=task.name).start()
            if not running:
                raise ValueError(f"tasks need each other in a circle: {', '.join(task.name for task in waiting)}")
            name, answer = answers.get()
            running.discard(name)
            if isinstance(answer, OuchiError):
                failures.append(answer)
            else:
                outcomes[name] = answer
    except KeyboardInterrupt:
        _stop(running, answers, interrupt)
        raise Interrupted(
            Finding(
                error("").severity,
                "interrupted; nothing is lost",
                found=f"{len(outcomes)} of {len(tasks)} tasks done",
                remedy="run the same command again to go on, or: ouchi down",
            )
        ) from None
    if failures:
        raise _together(failures)
    return outcomes


def _run(task: Task, timeline: Timeline, answers: queue.Queue[tuple[str, Outcome | OuchiError]]) -> None:
    begin = time.monotonic()
    timeline.emit(Kind.STARTED, task.stage, task.name)
    try:
        outcome = task.run(timeline.say(task.stage, task.name))
    except OuchiError as failure:
        timeline.emit(Kind.FAILED, task.stage, task.name, failure.findings[0].claim, time.monotonic() - begin)
        answers.put((task.name, failure))
    except BaseException as bug:  # noqa: BLE001  # a thread has nobody else to tell
        timeline.emit(Kind.FAILED, task.stage, task.name, repr(bug), time.monotonic() - begin)
        frame = traceback.extract_tb(bug.__traceback__)[-1]
        found = f"{type(bug).__name__}: {str(bug)[:500]} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})"
        answers.put((task.name, Failed(error(f"{task.stage}: {task.name} failed", found=found))))
    else:
        kind = Kind.CHANGED if outcome.changed else Kind.NOTHING
        timeline.emit(kind, task.stage, task.name, outcome.text, time.monotonic() - begin)
        answers.put((task.name, outcome))


def _stop(
    running: set[str], answers: queue.Queue[tuple[str, Outcome | OuchiError]], interrupt: Callable[[], None]
) -> None:
    """End what tasks wait for, and give them a moment to notice."""
    interrupt()
    end = time.monotonic() + 5
    while running and (left := end - time.monotonic()) > 0:
        try:
            running.discard(answers.get(timeout=left)[0])
        except queue.Empty:
            break


def _together(failures: Sequence[OuchiError]) -> OuchiError:
    """One error with every finding; the gravest status wins (bad input before failure: it is what the user can mend)."""
    findings = [finding for failure in failures for finding in failure.findings]
    worst = min(failures, key=lambda failure: failure.status)
    return type(worst)(findings) if type(worst).__init__ is OuchiError.__init__ else Failed(findings)
