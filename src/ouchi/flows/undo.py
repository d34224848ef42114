"""``ouchi undo``: restore everything that ``apply`` changed, newest first; in any state, after any reboot."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ouchi.core.errors import BadInput, Finding, error, warning
from ouchi.core.events import EventKind, Timeline
from ouchi.core.instance import Instance
from ouchi.facts.boot import parse_parameters
from ouchi.facts.nics import BEFORE_BINDING
from ouchi.flows.progress import run_step
from ouchi.flows.several_hosts import Done, HostChange
from ouchi.host import boot, commit_confirm, reboot
from ouchi.machine import Machine
from ouchi.parts import packages
from ouchi.report.apply import steps_text
from ouchi.report.documents import StepEntry
from ouchi.steps import Record, State, engine, rescue
from ouchi.steps.journal import Journal, Scope, open_journal


@dataclass(frozen=True, slots=True)
class Prepared:
    """The records of the journal: ``ours`` to restore, newest first; ``drifted``, changed by others since.

    ``now``: the current states. ``reboot``: why a reboot is needed afterwards. ``anything``: whether ouchi has left
    anything on the host.
    """

    journal: Journal
    now: engine.States
    ours: tuple[Record, ...]
    drifted: tuple[Record, ...]
    reboot: tuple[str, ...]
    anything: bool


def prepare(machine: Machine, instance: Instance) -> Prepared:
    """Read the journal. Raises :class:`~ouchi.core.errors.BadInput` while ouchi's own OVS may use the NICs, and during a rollback."""
    if machine.exists(instance.host) and commit_confirm.rolling_back(machine):
        raise BadInput(commit_confirm.busy())
    journal = open_journal(machine, instance, Scope.MACHINE)
    records = tuple(reversed(engine.current(journal)))
    if any(record.kind == "driver" for record in records) and machine.exists(instance.ovs_socket):
        raise BadInput(
            error(
                "ouchi is up and its Open vSwitch may use the NICs",
                where=instance.ovs_socket,
                expected="no running ouchi",
                remedy="ouchi down, then: ouchi undo",
            )
        )
    now = engine.look(machine, (record.location for record in records))
    drifted = tuple(record for record in records if engine.drifted(record, now[record.location]))
    return Prepared(
        journal=journal,
        now=now,
        ours=tuple(record for record in records if record not in drifted),
        drifted=drifted,
        reboot=_reboot_reasons(machine, journal),
        anything=machine.exists(instance.host),
    )


def make(prepared: Prepared, timeline: Timeline, stage: str = "undo") -> list[Finding]:
    """Restore everything. Returns what was left because others have changed it. Raises :class:`~ouchi.core.errors.Failed`."""
    journal, machine = prepared.journal, prepared.journal.machine
    commit_confirm.disarm(machine)
    reboot.stop_watching(machine)
    packages.undo(journal)
    journal.set_note(reboot.REQUESTED, None)
    for step, group in itertools.groupby(prepared.ours, lambda record: record.step):
        run_step(
            timeline,
            stage,
            step,
            functools.partial(_undo, journal, tuple(group)),
            expected="the state shown by: ouchi undo --dry-run",
            remedy="correct the cause, then: ouchi undo",
        )
    engine.refresh(journal)  # of a run that was killed before it ran them
    if prepared.drifted:  # the script must not restore what is restored already
        rescue.write(machine, journal.folder, engine.current(journal))
    else:
        machine.remove(rescue.script_path(journal.folder))
        machine.remove(BEFORE_BINDING)
        machine.remove(journal.folder)
    return [_left(record, prepared.now[record.location]) for record in prepared.drifted]


def _undo(journal: Journal, records: tuple[Record, ...]) -> str:
    return ", ".join(record.key for record in engine.undo(journal, records))


def _left(record: Record, now: State) -> Finding:
    shown = engine.difference(record.location, now, record.after)
    return warning(
        f"{record.key} was changed by another program or user since, and is left as it is",
        where=record.key,
        found=" | ".join(shown.now)[:300] or "nothing",
        expected=" | ".join(shown.target)[:300] or "nothing",
        remedy="remove or restore it yourself, then: ouchi undo",
    )


def _reboot_reasons(machine: Machine, journal: Journal) -> tuple[str, ...]:
    running = set(parse_parameters(machine.read("/proc/cmdline")))
    params = [param for param in boot.added_params(journal) if param in running]
    return (f"the kernel was booted with {' '.join(params)}",) if params else ()


@dataclass
class Undo(HostChange):
    """``undo`` on one host."""

    prepared: Prepared = field(init=False)
    command: ClassVar[str] = "undo"

    def survey(self) -> None:
        self.prepared = prepare(self.host.machine, self.instance)

    def text(self) -> str:
        prepared = self.prepared
        if not (prepared.ours or prepared.drifted or prepared.reboot):
            return "nothing to do: ouchi has changed nothing on this host"
        notes = [f"{one.key}: changed by another program or user since; left as it is" for one in prepared.drifted]
        return steps_text([StepEntry("", "", False, self._shown(prepared.ours))], reboot=prepared.reboot, notes=notes)

    def to_json(self) -> dict[str, Any]:
        return {
            "undone": [one.to_json() for one in self._shown(self.prepared.ours)],
            "drifted": [one.to_json() for one in self._shown(self.prepared.drifted)],
            "reboot": list(self.prepared.reboot),
        }

    def _shown(self, records: Iterable[Record]) -> tuple[engine.Difference, ...]:
        now = self.prepared.now
        return tuple(engine.difference(one.location, now[one.location], one.before) for one in records)

    @property
    def needed(self) -> bool:
        return self.prepared.anything

    @property
    def reboots(self) -> bool:
        return bool(self.prepared.reboot)

    def make(self, timeline: Timeline, stage: str) -> Done:
        """Restore the host, and reboot it where that is needed and allowed; findings for what was left."""
        machine, why = self.host.machine, list(self.prepared.reboot)
        boot_id = machine.read(engine.BOOT_ID).strip()
        result, findings = self.to_json(), make(self.prepared, timeline, stage)
        for finding in findings:
            timeline.emit(EventKind.NOTE, stage, "left", str(finding))
        result |= {"findings": [finding.to_json() for finding in findings], "status": 1 if findings else 0}
        if why:
            timeline.emit(EventKind.NOTE, stage, "reboot", f"{stage}: a reboot is needed: {'; '.join(why)}")
        if not (why and self.options.reboot):
            return Done(result | {"rebooted": False, "reboot_needed": why}, tuple(findings))
        reboot.reboot(machine)
        if self.host.address:
            self.wait_for_reboot(boot_id)
        return Done(result | {"rebooted": True, "reboot_needed": []}, tuple(findings))
