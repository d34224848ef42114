"""Making changes and taking them back, with a journal that is on disk before anything is touched.

A record has the name of its ``step``; ``before`` and ``after``, the states; ``then``, the refreshes; and ``doing``, true
while the change may be half made. What is neither as it was before nor as it was made, and not being done, somebody else has changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ouchi.core.errors import Failed, Finding, error
from ouchi.machine import CommandFailed, Machine
from ouchi.steps import Change, State
from ouchi.steps.journal import Journal
from ouchi.steps.kinds import KINDS
from ouchi.steps.refresh import REFRESHES

DUE = "refresh"
"""The journal's kind for refreshes that are due."""

UNIT = "unit"
"""The journal's kind for files that are there for one restart of the machine only (:mod:`ouchi.host.reboot`)."""

SECONDS = 120.0
"""The longest that one change may take, but for refreshes."""

Key = tuple[str, str]
States = dict[Key, State]


@dataclass(frozen=True, slots=True)
class Record:
    """What the journal says of a change."""

    step: str
    kind: str
    key: str
    before: State
    after: State
    then: tuple[str, ...]
    doing: bool

    @property
    def place(self) -> Key:
        """By kind and key."""
        return self.kind, self.key


def records(journal: Journal) -> list[Record]:
    """Every change of the journal, oldest first."""
    return [
        Record(
            record["step"], kind, key, record["before"], record["after"], tuple(record["then"]), bool(record["doing"])
        )
        for kind, key, record in journal.entries()
        if kind in KINDS
    ]


def look(machine: Machine, places: Iterable[Key]) -> States:
    """The state of each place now; one question for each kind."""
    by_kind: dict[str, list[str]] = {}
    for kind, key in dict.fromkeys(places):
        by_kind.setdefault(kind, []).append(key)
    return {
        (kind, key): state for kind, keys in by_kind.items() for key, state in KINDS[kind].look(machine, keys).items()
    }


def to_do(journal: Journal, changes: Sequence[Change], now: States) -> list[Change]:
    """Those of ``changes`` that do not hold, or may be half made."""
    doing = {record.place for record in records(journal) if record.doing}
    return [
        change
        for change in changes
        if not holds(change.state, now[change.kind, change.key]) or (change.kind, change.key) in doing
    ]


def holds(wanted: State, now: State) -> bool:
    """Whether a state is as wanted; members that the wanted one has not may be anything (a folder's mode, say)."""
    if isinstance(wanted, dict) and isinstance(now, dict):
        return all(name in now and now[name] == value for name, value in wanted.items())
    return bool(now == wanted)


def left_over(journal: Journal, changes: Iterable[Change]) -> list[Record]:
    """What was made for another plan and is in this one no more, newest first."""
    wanted = {(change.kind, change.key) for change in changes}
    return [record for record in reversed(records(journal)) if record.place not in wanted and record.kind != UNIT]


def foreign(record: Record, now: State) -> bool:
    """Whether somebody else has changed it since."""
    return not record.doing and now not in (record.before, record.after)


def note(journal: Journal, changes: Mapping[str, Sequence[Change]], now: States) -> None:
    """Write down what is about to be changed, by the names of steps, and what is there."""
    journal.note_all(
        (change.kind, change.key, _record(step, change, now[change.kind, change.key]))
        for step, some in changes.items()
        for change in some
    )


def _record(step: str, change: Change, now: State) -> dict[str, Any]:
    return {"step": step, "before": now, "after": change.state, "then": list(change.then), "doing": True}


def make(machine: Machine, journal: Journal, changes: Sequence[Change]) -> None:
    """Bring noted changes about, in their order, and see that they hold.

    Raises :class:`~ouchi.core.errors.Failed` when one cannot be made; it is still noted as being done.
    """
    # Before they are made: whoever is killed after them leaves the refreshes to the next.
    journal.note_all((DUE, name, {}) for change in changes for name in change.then)
    for change in changes:
        put(machine, change.kind, change.key, change.state)
    after = look(machine, [(change.kind, change.key) for change in changes])
    if wrong := [change for change in changes if not holds(change.state, after[change.kind, change.key])]:
        raise Failed([_unlike(change, after[change.kind, change.key]) for change in wrong])
    # What the kernel or a program made of it counts, so that undo knows it again: a MAC in other letters, say.
    journal.note_all(
        (change.kind, change.key, {"after": after[change.kind, change.key], "doing": False}) for change in changes
    )


def _unlike(change: Change, now: State) -> Finding:
    kind = KINDS[change.kind]
    return error(
        f"{change.key} did not become what it was made",
        where=change.key,
        found=" | ".join(kind.words(change.key, now))[:300] or "nothing there",
        expected=" | ".join(kind.words(change.key, change.state))[:300],
        remedy="look for what sets it back (dmesg, journalctl), then: ouchi apply",
    )


def put(machine: Machine, kind: str, key: str, state: State) -> None:
    """Bring one state about."""
    machine.run(("sh", "-ceu", KINDS[kind].script(key, state)), timeout=SECONDS)


def take_back(machine: Machine, journal: Journal, taken: Sequence[Record]) -> None:
    """Put what was there before, in the order given (newest first), and forget it; step by step with its refreshes.

    What a later step started may hold what an earlier one made: ovs-vswitchd a card, say.
    """
    for _, group in itertools.groupby(taken, lambda record: record.step):
        step = tuple(group)
        due = {name for record in step for name in record.then}
        journal.note_all((DUE, name, {}) for name in due)
        for record in step:
            journal.amend(record.kind, record.key, {"doing": True})
            put(machine, record.kind, record.key, record.before)
            journal.forget(record.kind, record.key)
        refresh(machine, journal, due)


def refresh(machine: Machine, journal: Journal, names: Iterable[str] | None = None) -> list[str]:
    """Run what is due, each once, in the table's order; all of it when ``names`` is None. Returns what was run."""
    due = journal.records(DUE)
    run = [name for name in REFRESHES if name in due and (names is None or name in names)]
    for name in run:
        script, seconds = REFRESHES[name]
        machine.run(("sh", "-ceu", script), timeout=seconds)
        journal.forget(DUE, name)
    return run


def failed(reason: CommandFailed) -> str:
    """What a script said in the end, in one line."""
    said = (reason.result.stderr.strip() or reason.result.stdout.strip()).splitlines()
    return said[-1] if said else f"exit status {reason.result.status}"
