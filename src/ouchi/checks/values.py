"""What a doctor says: one answer for each check, and with what is wrong how it can be mended while the host runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import Finding, Severity

if TYPE_CHECKING:
    from ouchi.live.host import Live
    from ouchi.plan.target import Target

SCHEMA = 1

SUBJECTS = ("kernel", "memory", "cpus", "interrupts", "threads", "ovs", "nics", "versions")
"""From the start of the kernel up to the cards: the order in which answers are shown."""


@dataclass(frozen=True, slots=True)
class Mend:
    """A change that is safe while the host runs and gone after its next start; doing it twice is doing it once.

    ``pokes`` are files of the kernel and what is to stand there, ``files`` files below ``/run``, ``commands`` are run
    one after another.
    """

    name: str
    pokes: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """A finding, and what mends it at once, where something does."""

    finding: Finding
    mend: Mend | None = None


class State(StrEnum):
    """How a check ended: what should be so is so, it is not, or it could not be asked."""

    OK = "ok"
    FINDING = "finding"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a check ended. ``found`` is what was seen where all is well, or why it could not be asked."""

    state: State
    found: str = ""
    troubles: tuple[Trouble, ...] = ()


def holds(found: str = "") -> Answer:
    """What should be so is so."""
    return Answer(State.OK, found)


def unknown(reason: str) -> Answer:
    """It could not be asked."""
    return Answer(State.UNKNOWN, reason)


def wrong(*troubles: Trouble | Finding) -> Answer:
    """It is not so."""
    return Answer(
        State.FINDING,
        troubles=tuple(trouble if isinstance(trouble, Trouble) else Trouble(trouble) for trouble in troubles),
    )


def judged(troubles: Sequence[Trouble | Finding], found: str) -> Answer:
    """Wrong where there are troubles, else what was seen."""
    return wrong(*troubles) if troubles else holds(found)


def named(cpus: Iterable[int]) -> str:
    """``CPU 1``, ``CPUs 1-5,7``."""
    numbers = set(cpus)
    return f"CPU{'' if len(numbers) == 1 else 's'} {format_cpus(numbers)}"


Look = Callable[["Live", "Target"], Answer | None]
"""A pure function of the live state and the plan; ``None`` where the check means nothing on this host."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that should be so: a name that says what, how it is seen, and in which readings of the host."""

    subject: str
    name: str
    look: Look
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A check with its answer."""

    subject: str
    name: str
    answer: Answer

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON object."""
        return {
            "subject": self.subject,
            "check": self.name,
            "state": str(self.answer.state),
            "found": self.answer.found,
            "findings": [
                trouble.finding.to_json() | ({"mend": trouble.mend.name} if trouble.mend else {})
                for trouble in self.answer.troubles
            ],
        }


@dataclass(frozen=True, slots=True)
class Mended:
    """What ``--fix`` did about one finding: what was changed, and what could not be."""

    name: str
    done: tuple[str, ...]
    failed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {"name": self.name, "done": list(self.done), "failed": list(self.failed)}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every check's answer, with what ``--fix`` did before it."""

    labels: tuple[str, ...]
    checks: tuple[Checked, ...]
    mended: tuple[Mended, ...] = ()

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Everything that is wrong, in the order of the checks."""
        return tuple(trouble for check in self.checks for trouble in check.answer.troubles)

    def count(self, severity: Severity) -> int:
        """The findings of a severity."""
        return sum(trouble.finding.severity is severity for trouble in self.troubles)

    def in_state(self, state: State) -> tuple[Checked, ...]:
        """The checks that ended so."""
        return tuple(check for check in self.checks if check.answer.state is state)

    @property
    def status(self) -> int:
        """The exit status: 0 healthy, 4 warnings only, 1 failures."""
        if self.count(Severity.ERROR):
            return 1
        return 4 if self.count(Severity.WARNING) else 0

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as plain JSON, version 1."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "healthy": self.status == 0,
            "labels": list(self.labels),
            "counts": {
                "ok": len(self.in_state(State.OK)),
                "unknown": len(self.in_state(State.UNKNOWN)),
                "errors": self.count(Severity.ERROR),
                "warnings": self.count(Severity.WARNING),
                "infos": self.count(Severity.INFO),
            },
            "checks": [check.to_json() for check in self.checks],
            "mended": [mended.to_json() for mended in self.mended],
        }
