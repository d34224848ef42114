"""Where the time of ``up`` goes: a chart of its tasks, and their critical path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from benchmarks.command import ENDED
from ouchi.core.events import Event, Timeline
from ouchi.core.instance import Instance
from ouchi.flows.up import Up
from ouchi.machine.local import LocalMachine

Needs = Mapping[str, Sequence[str]]
"""The tasks that each task waits for."""


@dataclass(frozen=True, slots=True)
class Span:
    """A task that was done: its stage and name, and when it ran (seconds since ``up`` began its first task)."""

    stage: str
    task: str
    begin: float
    seconds: float

    @property
    def end(self) -> float:
        """When it was done."""
        return self.begin + self.seconds


@dataclass(frozen=True, slots=True)
class Path:
    """The longest path by measured seconds, and by how many seconds each task could be longer without effect."""

    tasks: tuple[str, ...]
    seconds: float
    slack: Mapping[str, float]


def spans(events: Iterable[Event]) -> list[Span]:
    """The tasks that were done, by their begin."""
    done = [event for event in events if event.kind in ENDED]
    found = [Span(event.stage, event.task, max(0.0, event.at - event.seconds), event.seconds) for event in done]
    return sorted(found, key=lambda span: (span.begin, span.task))


def needs_of_up() -> dict[str, tuple[str, ...]]:
    """What each of ``up``'s tasks waits for, from its own table."""
    return {task.name: task.needs for task in Up(LocalMachine(), Instance(), None, Timeline()).tasks()}


def critical_path(done: Sequence[Span], needs: Needs) -> Path:
    """The critical path method (Kelley and Walker 1959) on measured durations.

    Tasks that were not done, and needs that are none of them, are left out.
    """
    length = {span.task: span.seconds for span in done}
    before = {task: [need for need in needs.get(task, ()) if need in length] for task in length}
    order = list(TopologicalSorter(before).static_order())
    until: dict[str, float] = {}
    for task in order:
        until[task] = length[task] + max((until[need] for need in before[task]), default=0.0)
    after = dict.fromkeys(length, 0.0)
    for task in reversed(order):
        for need in before[task]:
            after[need] = max(after[need], length[task] + after[task])
    total = max(until.values(), default=0.0)
    path: list[str] = []
    candidates = list(length)
    while candidates:
        path.append(max(candidates, key=lambda task: until[task]))
        candidates = before[path[-1]]
    slack = {task: total - until[task] - after[task] for task in length}
    return Path(tuple(reversed(path)), total, slack)


def chart(done: Sequence[Span], path: Path, *, width: int = 56) -> str:
    """One line for each task: where it ran (``█`` on the critical path, ``░`` beside it), its seconds and slack."""
    if not done:
        return "no task was done"
    end = max(span.end for span in done)
    scale = width / end if end > 1e-6 else 0.0  # what took no microsecond has no length
    names = [f"{span.stage}: {span.task}" for span in done]
    wide = max(map(len, names))
    lines = [f"{'task':{wide}} │{'0 s':<{width}}│ seconds   slack"]
    for name, span in zip(names, done, strict=True):
        critical = span.task in path.tasks
        start = min(int(span.begin * scale), width - 1)
        size = max(1, min(round(span.seconds * scale), width - start))
        bar = (" " * start + ("█" if critical else "░") * size).ljust(width)
        slack = "" if critical else f"{path.slack[span.task]:8.1f}"
        lines.append(f"{name:{wide}} │{bar}│{span.seconds:8.1f}{slack}")
    return "\n".join(lines)


def path_text(done: Sequence[Span], path: Path) -> str:
    """The critical path in words, with each task's seconds."""
    seconds = {span.task: span.seconds for span in done}
    way = " → ".join(f"{task} {seconds[task]:.1f}" for task in path.tasks)
    return f"critical path, {path.seconds:.1f} s: {way}"
