"""The terms of checking: a check with a stable id, its result, its findings and their fixes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding
from ouchi.steps import Change

if TYPE_CHECKING:
    from ouchi.live.host import Live
    from ouchi.plan.target import Target


class Level(StrEnum):
    """How much of a host a check looks at, each level beyond the one before it.

    ``running``: the parts of an ouchi that is up are there. ``placed``: CPUs, memory and queues are where the plan has
    them. ``loss``: everything else on the host that makes it lose packets.
    """

    RUNNING = "running"
    PLACED = "placed"
    LOSS = "loss"


LEVELS = (Level.RUNNING, Level.PLACED)
"""The levels that a host which is up must hold: every check of them is essential."""


class Result(StrEnum):
    """How a check ended: it holds, it has findings, or it could not be evaluated."""

    OK = "ok"
    FINDING = "finding"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fix:
    """Changes that remove the cause of a finding at once and are safe while the host runs, in their order.

    None of them outlasts a reboot unless it says so (:class:`~ouchi.steps.Lasts`).
    """

    name: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding with its fix, if there is one."""

    finding: Finding
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a check came to. ``found`` is what was seen where it holds, or why it could not be evaluated."""

    result: Result
    found: str = ""
    problems: tuple[Problem, ...] = ()


Seen = Observation | Problem | Finding
"""What a check returns: an observation, or the one finding that it has."""


def ok(found: str = "") -> Observation:
    """The check holds."""
    return Observation(Result.OK, found)


def unknown(reason: str) -> Observation:
    """The check could not be evaluated."""
    return Observation(Result.UNKNOWN, reason)


def judge(problems: Sequence[Problem | Finding], found: str) -> Observation:
    """The check holds, with what was ``found``, unless there are problems."""
    if not problems:
        return ok(found)
    return Observation(Result.FINDING, "", tuple(one if isinstance(one, Problem) else Problem(one) for one in problems))


def named(cpus: Iterable[int]) -> str:
    """Return ``CPU 1`` or ``CPUs 1-5,7``."""
    numbers = set(cpus)
    return f"CPU{'' if len(numbers) == 1 else 's'} {format_cpus(numbers)}"


Evaluate = Callable[["Live", "Target"], Seen | None]
"""A pure function of the live state and the target; ``None`` where the check does not apply to the host."""

F = TypeVar("F", bound=Callable[..., Seen | None])


@dataclass(frozen=True, slots=True)
class Check(Generic[F]):
    """A statement about a host that holds or does not.

    ``id`` is ``subject.name`` and never changes; ``needs`` are the readings that ``evaluate`` uses. While an
    ``essential`` check is unknown, nothing speaks for the host's health.
    """

    id: str
    level: Level
    title: str
    needs: tuple[str, ...]
    evaluate: F
    essential: bool = True

    def result(self, seen: Seen) -> CheckResult:
        """Return the check's result."""
        if not isinstance(seen, Observation):
            seen = judge([seen], "")
        return CheckResult(self.id, self.level, self.title, seen.result, seen.found, seen.problems, self.essential)


def check(id: str, level: Level, title: str, *needs: str, essential: bool = False) -> Callable[[F], Check[F]]:
    """Make a function a check; :mod:`ouchi.checks.registry` finds it in its module.

    Those of :data:`LEVELS` are essential, others where they say so.
    """
    return lambda evaluate: Check(id, level, title, needs, evaluate, essential or level in LEVELS)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """An evaluated check."""

    id: str
    level: Level
    title: str
    result: Result
    found: str = ""
    problems: tuple[Problem, ...] = ()
    essential: bool = True

    @property
    def subject(self) -> str:
        """The first half of the id."""
        return self.id.partition(".")[0]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings without their fixes."""
        return tuple(problem.finding for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {
            "id": self.id,
            "level": str(self.level),
            "essential": self.essential,
            "title": self.title,
            "result": str(self.result),
            "found": self.found,
            "findings": [
                problem.finding.to_json() | ({"fix": problem.fix.name} if problem.fix else {})
                for problem in self.problems
            ],
        }
