"""Making changes and undoing them, with a journal that is on disk before anything is touched.

:func:`preview`, :func:`make` (or :func:`make_each`) and :func:`undo` are the whole of it; ``apply``, which notes all its
changes before it makes the first, uses the parts of :func:`make`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ouchi.core.errors import Failed, Finding, error
from ouchi.machine import CommandFailed, Machine
from ouchi.steps import Change, Kind, Lasts, Location, Record, State, matches
from ouchi.steps.journal import Journal
from ouchi.steps.kinds import KINDS
from ouchi.steps.refresh import REFRESHES

BOOT_ID = "/proc/sys/kernel/random/boot_id"

DUE = "refresh"
"""The journal's note of the refreshes that are due."""

ONE_BOOT = "one-boot file"
"""The kind of files that exist for one reboot only (:mod:`ouchi.host.reboot`)."""

States = dict[Location, State]


@dataclass(frozen=True, slots=True)
class Difference:
    """The current state and the target of a key, in lines."""

    kind: str
    key: str
    now: tuple[str, ...]
    target: tuple[str, ...]


def preview(journal: Journal, changes: Sequence[Change]) -> tuple[Difference, ...]:
    """Show what :func:`make` would change. Changes nothing."""
    now = look(journal.machine, (change.location for change in changes))
    return tuple(
        difference(change.location, now[change.location], change.state) for change in pending(journal, changes, now)
    )


def make(journal: Journal, step: str, changes: Sequence[Change]) -> tuple[Change, ...]:
    """Make those of ``changes`` that are not made yet, and return them.

    Raises :class:`~ouchi.core.errors.Failed` when one cannot be made; it stays in the journal, in progress.
    """
    now = look(journal.machine, (change.location for change in changes))
    todo = pending(journal, changes, now)
    note(journal, {step: todo}, now)
    bring_about(journal, todo)
    refresh(journal, {name for change in todo for name in change.then})
    return tuple(todo)


def make_each(journal: Journal, step: str, changes: Sequence[Change]) -> list[tuple[Change, str]]:
    """The same, but a change that cannot be made does not stop the others: each has the reason, empty when it was made.

    A value that the kernel writes in another form than it was given counts as made.
    """
    now = look(journal.machine, (change.location for change in changes))
    todo = pending(journal, changes, now)
    earlier = {change.location: journal.record(*change.location) for change in todo}
    note(journal, {step: todo}, now)
    _add_due(journal, (name for change in todo for name in change.then))
    failures: dict[Location, str] = {}
    for change in todo:
        try:
            _put(journal, change)
        except CommandFailed as reason:
            failures[change.location] = failed(reason)
    after = look(journal.machine, (change.location for change in todo))
    for change in todo:
        if change.lasts is Lasts.PROCESS or matches(change.state, after[change.location]):
            continue
        if after[change.location] == now[change.location]:
            failures.setdefault(change.location, "the value stays as it was")
            if record := earlier[change.location]:
                journal.put([record])
            else:
                journal.forget(*change.location)
    _settle(journal, [change for change in todo if change.location not in failures], after)
    refresh(journal, {name for change in todo for name in change.then})
    return [(change, failures.get(change.location, "")) for change in todo]


def undo(journal: Journal, records: Sequence[Record] | None = None) -> tuple[Record, ...]:
    """Undo records, in the order given (all of them, newest first, when ``records`` is None), and return them.

    Step by step, each with its refreshes: what a later step started may use what an earlier one made (ovs-vswitchd a
    NIC, say). What was changed by others since is overwritten: leave out those that have :func:`drifted`.
    """
    chosen = tuple(reversed(current(journal))) if records is None else tuple(records)
    for _, group in itertools.groupby(chosen, lambda record: record.step):
        step = tuple(group)
        due = {name for record in step for name in record.then}
        # Only these kinds restore another state than that of before.
        now = look(journal.machine, (one.location for one in step if type(KINDS[one.kind]).current is not Kind.current))
        _add_due(journal, due)
        for record in step:
            kind = KINDS[record.kind]
            target = kind.current(record, now.get(record.location))
            journal.put([replace(target, in_progress=True)])
            kind.put(journal.machine, target.key, target.before)
            journal.forget(*target.location)
        refresh(journal, due)
    return chosen


def current(journal: Journal) -> tuple[Record, ...]:
    """Every record, oldest first, without changes that a reboot has undone."""
    return tuple(record for record in journal.records() if record.boot_id in ("", _boot_id(journal, record)))


def current_record(journal: Journal, location: Location) -> Record | None:
    """Return the record of a location; None also where a reboot has undone it."""
    record = journal.record(*location)
    return record if record and record.boot_id in ("", _boot_id(journal, record)) else None


def _boot_id(journal: Journal, record: Record) -> str:
    return journal.machine.read(BOOT_ID).strip() if record.boot_id else ""


def look(machine: Machine, locations: Iterable[Location]) -> States:
    """Read the current state of each location; one command for each kind."""
    by_kind: dict[str, list[str]] = {}
    for kind, key in dict.fromkeys(locations):
        by_kind.setdefault(kind, []).append(key)
    return {
        (kind, key): state for kind, keys in by_kind.items() for key, state in KINDS[kind].look(machine, keys).items()
    }


def pending(journal: Journal, changes: Sequence[Change], now: States) -> list[Change]:
    """Those of ``changes`` whose target is not the current state, or that may be half made."""
    return [
        change for change in changes if _pending(current_record(journal, change.location), change, now[change.location])
    ]


def _pending(record: Record | None, change: Change, now: State) -> bool:
    _, after = KINDS[change.kind].plan(change, now, record)
    return bool(record and record.in_progress) or not matches(after, now)


def left_over(journal: Journal, changes: Iterable[Change]) -> list[Record]:
    """Return what was made for another plan and is not in this one, newest first."""
    planned = {change.location for change in changes}
    return [
        record
        for record in reversed(journal.records())
        if record.location not in planned and record.kind != ONE_BOOT and not record.boot_id
    ]


def drifted(record: Record, now: State) -> bool:
    """Return whether another program or user has changed it since."""
    return KINDS[record.kind].drifted(record, now)


def note(journal: Journal, changes: Mapping[str, Sequence[Change]], now: States) -> None:
    """Record the changes that are about to be made, by the names of steps, with the current states."""
    known = {record.location: record for record in current(journal)}
    temporary = any(change.lasts is Lasts.REBOOT for some in changes.values() for change in some)
    boot_id = journal.machine.read(BOOT_ID).strip() if temporary else ""
    records = []
    for step, some in changes.items():
        for change in some:
            if change.lasts is Lasts.PROCESS:
                continue
            kind, record = KINDS[change.kind], known.get(change.location)
            before, after = kind.plan(change, now[change.location], record)
            lasting = boot_id if change.lasts is Lasts.REBOOT and not (record and not record.boot_id) else ""
            records.append(Record(step, *change.location, before, after, change.then, True, lasting))
    journal.put(records)


def bring_about(journal: Journal, changes: Sequence[Change]) -> None:
    """Make noted changes, in their order, and check that they hold.

    Raises :class:`~ouchi.core.errors.Failed` when one cannot be made; its record is still in progress.
    """
    # Before they are made: a run that is killed after them leaves the refreshes to the next.
    _add_due(journal, (name for change in changes for name in change.then))
    for change in changes:
        _put(journal, change)
    after = look(journal.machine, (change.location for change in changes))
    wrong = [
        record
        for change in changes
        if (record := journal.record(*change.location))
        and not KINDS[change.kind].holds(record.after, after[record.location])
    ]
    if wrong:
        raise Failed([_not_made(record, after[record.location]) for record in wrong])
    _settle(journal, changes, after)


def _put(journal: Journal, change: Change) -> None:
    record = journal.record(*change.location)
    KINDS[change.kind].put(journal.machine, change.key, record.after if record else change.state)


def _settle(journal: Journal, changes: Sequence[Change], after: States) -> None:
    """Note the states as the kernel or a program shows them, so that undo recognises them: a MAC in other letters, say."""
    journal.put(
        replace(record, after=after[record.location], in_progress=False)
        for change in changes
        if (record := journal.record(*change.location))
    )


def _not_made(record: Record, now: State) -> Finding:
    shown = difference(record.location, now, record.after)
    return error(
        f"what was set does not hold ({record.kind})",
        where=record.key,
        found=" | ".join(shown.now)[:300] or "nothing",
        expected=" | ".join(shown.target)[:300],
        remedy="look for what sets it back (dmesg, journalctl), then run the same command again",
    )


def difference(location: Location, now: State, target: State) -> Difference:
    """Show two states of a location side by side."""
    kind, key = location
    return Difference(kind, key, tuple(KINDS[kind].describe(key, now)), tuple(KINDS[kind].describe(key, target)))


def refresh(journal: Journal, names: Iterable[str] | None = None) -> list[str]:
    """Run the refreshes that are due, each once, in the table's order; all when ``names`` is None. Returns those run."""
    chosen = None if names is None else set(names)
    run = [name for name in REFRESHES if name in _due(journal) and (chosen is None or name in chosen)]
    for name in run:
        script, seconds = REFRESHES[name]
        journal.machine.run(("sh", "-ceu", script), timeout=seconds)
        journal.set_note(DUE, [due for due in _due(journal) if due != name])
    return run


def _due(journal: Journal) -> list[str]:
    return list(journal.note(DUE) or ())


def _add_due(journal: Journal, names: Iterable[str]) -> None:
    journal.set_note(DUE, list(dict.fromkeys((*_due(journal), *names))))


def failed(reason: CommandFailed) -> str:
    """The last line of a failed script's output."""
    lines = (reason.result.stderr.strip() or reason.result.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit status {reason.result.status}"
