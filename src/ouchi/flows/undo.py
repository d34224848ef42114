"""``ouchi undo``: everything that ``apply`` changed, put back as it was, newest first; in any state, after any restart."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from ouchi.core.errors import BadInput, Failed, Finding, error, warning
from ouchi.core.events import Kind, Timeline
from ouchi.core.instance import Instance
from ouchi.facts.boot import parse_parameters
from ouchi.facts.nics import BEFORE_BINDING
from ouchi.host import boot, guard, reboot
from ouchi.machine import CommandFailed, Machine
from ouchi.parts import packages
from ouchi.steps import Record, State, engine, rescue
from ouchi.steps.journal import Journal, Scope, open_journal


@dataclass(frozen=True, slots=True)
class Undoing:
    """What the journal says was changed: ``ours`` to put back, newest first; ``theirs``, changed by others since.

    ``why``: what a restart is needed for afterwards. ``anything``: whether ``apply`` has left anything here.
    """

    machine: Machine
    instance: Instance
    journal: Journal
    now: engine.States
    ours: tuple[Record, ...]
    theirs: tuple[Record, ...]
    why: tuple[str, ...]
    anything: bool


def prepare(machine: Machine, instance: Instance) -> Undoing:
    """Look. Raises :class:`~ouchi.core.errors.BadInput` while ouchi's own Open vSwitch has the cards, or the guard is at work."""
    if machine.exists(instance.host) and guard.at_work(machine):
        raise BadInput(guard.busy())
    journal = open_journal(machine, instance, Scope.MACHINE)
    records = list(reversed(engine.current(journal)))
    if any(record.kind == "driver" for record in records) and machine.exists(instance.ovs_socket):
        raise BadInput(
            error(
                "ouchi is up and its Open vSwitch may have the cards",
                where=instance.ovs_socket,
                expected="nothing of ouchi's running",
                remedy="ouchi down, then: ouchi undo",
            )
        )
    now = engine.look(machine, [record.location for record in records])
    theirs = tuple(record for record in records if engine.drifted(record, now[record.location]))
    ours = tuple(record for record in records if record not in theirs)
    anything = machine.exists(instance.host)
    return Undoing(machine, instance, journal, now, ours, theirs, _reasons(machine, journal), anything)


def carry_out(undoing: Undoing, timeline: Timeline, stage: str = "undo") -> tuple[list[str], list[Finding]]:
    """Put everything back. Returns why the machine must be restarted, and what was left as others made it."""
    machine, journal = undoing.machine, undoing.journal
    guard.disarm(machine)
    reboot.stop_watching(machine)
    packages.undo(machine, journal)
    journal.set_note(reboot.ASKED, None)
    for step, group in itertools.groupby(undoing.ours, lambda record: record.step):
        _timed(journal, timeline, (stage, step), tuple(group))
    engine.refresh(journal)  # of a run that was killed before it came to them
    findings = [left(record, undoing.now[record.location]) for record in undoing.theirs]
    if findings:  # what has been put back is nobody's to put back again
        rescue.write(machine, undoing.instance.host, engine.current(journal))
    else:
        machine.remove(rescue.script_path(undoing.instance.host))
        machine.remove(BEFORE_BINDING)
        machine.remove(undoing.instance.host)
    return list(undoing.why), findings


def left(record: Record, now: State) -> Finding:
    """That something was changed by somebody else since, and stays so."""
    from ouchi.steps.kinds import KINDS

    kind = KINDS[record.kind]
    return warning(
        f"{record.key} was changed by somebody else since, and is left so",
        where=record.key,
        found=" | ".join(kind.describe(record.key, now))[:300] or "nothing there",
        expected=" | ".join(kind.describe(record.key, record.after))[:300] or "nothing there",
        remedy="take it away or put it back yourself, then: ouchi undo",
    )


def _reasons(machine: Machine, journal: Journal) -> tuple[str, ...]:
    running = set(parse_parameters(machine.read("/proc/cmdline")))
    words = [word for word in boot.added_words(journal) if word in running]
    return (f"the kernel was started with {' '.join(words)}",) if words else ()


def _timed(journal: Journal, timeline: Timeline, task: tuple[str, str], group: tuple[Record, ...]) -> None:
    begin = time.monotonic()
    timeline.emit(Kind.STARTED, *task)
    try:
        engine.undo(journal, group)
    except CommandFailed as failure:
        said = engine.failed(failure)
        timeline.emit(Kind.FAILED, *task, said, time.monotonic() - begin)
        raise Failed(
            error(
                f"the step {task[1]} could not be put back",
                found=said,
                expected="the state shown by: ouchi undo --dry-run",
                remedy="mend what it says, then: ouchi undo",
            )
        ) from None
    timeline.emit(Kind.CHANGED, *task, ", ".join(record.key for record in group), time.monotonic() - begin)
