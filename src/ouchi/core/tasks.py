"""Running tasks side by side, each as soon as what it needs is done."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ouchi.core.errors import Failed, Finding, Interrupted, OuchiError, error
from ouchi.core.events import Kind, Say, Timeline
from ouchi.core.outcome import Outcome

Answers = queue.SimpleQueue[tuple[str, Outcome | OuchiError] | None]
"""A task's name and what came of it; ``None``: Ctrl-C. The one kind of queue that a signal handler may fill."""


@dataclass(frozen=True, slots=True)
class Task:
    """A named piece of a stage; ``needs`` are names of tasks that must be done before."""

    stage: str
    name: str
    run: Callable[[Say], Outcome]
    needs: tuple[str, ...] = ()


def leading_to(tasks: Sequence[Task], name: str) -> list[Task]:
    """A task and all that it needs, in their order."""
    by_name = {task.name: task for task in tasks}
    wanted: set[str] = set()
    waiting = [name]
    while waiting:
        if (one := waiting.pop()) not in wanted:
            wanted.add(one)
            waiting += by_name[one].needs
    return [task for task in tasks if task.name in wanted]


def run_tasks(tasks: Sequence[Task], timeline: Timeline, interrupt: Callable[[], None]) -> dict[str, Outcome]:
    """Run every task and return their outcomes by name.

    When one fails no further task starts, those under way are waited for, and everything that failed is raised
    together. On Ctrl-C ``interrupt`` is called (it ends the programs that tasks wait for) and
    :class:`~ouchi.core.errors.Interrupted` raised within a few seconds.
    """
    names = [task.name for task in tasks]
    if len(set(names)) != len(names) or not {need for task in tasks for need in task.needs} <= set(names):
        raise ValueError("task names must be unique and needs must name tasks")
    waiting = list(tasks)
    running: set[str] = set()
    outcomes: dict[str, Outcome] = {}
    failures: list[OuchiError] = []
    answers: Answers = queue.SimpleQueue()
    with _interrupts(lambda: answers.put(None)):
        while running or (waiting and not failures):
            if not failures:
                for task in [task for task in waiting if all(need in outcomes for need in task.needs)]:
                    waiting.remove(task)
                    running.add(task.name)
                    # Daemons: an interrupted run must not hang on a task that waits.
                    threading.Thread(target=_run, args=(task, timeline, answers), daemon=True, name=task.name).start()
            if not running:
                raise ValueError(f"tasks need each other in a circle: {', '.join(task.name for task in waiting)}")
            if (answer := answers.get()) is None:
                _stop(running, answers, interrupt)
                raise _interrupted(len(outcomes), len(tasks))
            name, outcome = answer
            running.discard(name)
            if isinstance(outcome, OuchiError):
                failures.append(outcome)
            else:
                outcomes[name] = outcome
    if failures:
        raise _together(failures)
    return outcomes


@contextlib.contextmanager
def _interrupts(heard: Callable[[], None]) -> Iterator[None]:
    """Call ``heard`` on Ctrl-C in place of Python's exception, which would fall into the middle of a lock or a queue.

    Only the main thread is told of signals; elsewhere nothing is changed, nor where whoever started this wants it
    ignored, as shells do for what runs in the background.
    """
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, lambda _number, _frame: heard())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run(task: Task, timeline: Timeline, answers: Answers) -> None:
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


def _stop(running: set[str], answers: Answers, interrupt: Callable[[], None]) -> None:
    """End what tasks wait for, and give them a moment to notice."""
    interrupt()
    end = time.monotonic() + 5
    while running and (left := end - time.monotonic()) > 0:
        try:
            answer = answers.get(timeout=left)
        except queue.Empty:
            break
        if answer:  # a second Ctrl-C changes nothing
            running.discard(answer[0])


def _interrupted(done: int, of: int) -> Interrupted:
    return Interrupted(
        Finding(
            error("").severity,
            "interrupted; nothing is lost",
            found=f"{done} of {of} tasks done",
            remedy="run the same command again to go on, or: ouchi down",
        )
    )


def _together(failures: Sequence[OuchiError]) -> OuchiError:
    """One error with every finding; the gravest status wins (bad input before failure: it is what the user can mend)."""
    findings = [finding for failure in failures for finding in failure.findings]
    worst = min(failures, key=lambda failure: failure.status)
    return type(worst)(findings) if type(worst).__init__ is OuchiError.__init__ else Failed(findings)
