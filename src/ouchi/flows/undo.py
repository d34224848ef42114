"""``ouchi undo``: restore everything that ``apply`` changed, newest first; in any state, after any reboot."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ouchi.core.errors import BadInput, Finding, warning
from ouchi.core.events import EventKind, Timeline
from ouchi.core.plain import to_plain
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


@dataclass
class Undo(HostChange):
    """``undo`` on one host, by the records of its journal.

    ``ours``: those to restore, newest first; ``drifted``: those changed by others since; ``now``: the current states.
    """

    journal: Journal = field(init=False)
    now: engine.States = field(init=False)
    ours: tuple[Record, ...] = field(init=False)
    drifted: tuple[Record, ...] = field(init=False)
    command: ClassVar[str] = "undo"

    def survey(self) -> None:
        """Read the journal. Raises BadInput while ouchi's own OVS may use the NICs, and during a rollback."""
        machine, instance = self.host.machine, self.instance
        if machine.exists(instance.host) and commit_confirm.rolling_back(machine):
            raise BadInput(commit_confirm.busy())
        self.journal = open_journal(machine, instance, Scope.MACHINE)
        records = tuple(reversed(engine.current(self.journal)))
        if any(record.kind == "driver" for record in records) and machine.exists(instance.ovs_socket):
            raise BadInput.of(
                "ouchi is up and its Open vSwitch may use the NICs",
                where=instance.ovs_socket,
                expected="no running ouchi",
                remedy="ouchi down, then: ouchi undo",
            )
        self.now = engine.look(machine, (record.location for record in records))
        self.drifted = tuple(record for record in records if engine.drifted(record, self.now[record.location]))
        self.ours = tuple(record for record in records if record not in self.drifted)
        self.reboot_reasons = _reboot_reasons(machine, self.journal)
        self.needed = machine.exists(instance.host)

    def text(self) -> str:
        if not (self.ours or self.drifted or self.reboot_reasons):
            return "nothing to do: ouchi has changed nothing on this host"
        notes = [f"{one.key}: changed by another program or user since; left as it is" for one in self.drifted]
        return steps_text([StepEntry("", "", False, self._shown(self.ours))], reboot=self.reboot_reasons, notes=notes)

    def to_json(self) -> dict[str, Any]:
        return {
            "undone": to_plain(self._shown(self.ours)),
            "drifted": to_plain(self._shown(self.drifted)),
            "reboot": list(self.reboot_reasons),
        }

    def _shown(self, records: Iterable[Record]) -> tuple[engine.Difference, ...]:
        return tuple(engine.difference(one.location, self.now[one.location], one.before) for one in records)

    def make(self, timeline: Timeline, stage: str) -> Done:
        """Restore the host, and reboot it where that is needed and allowed; findings for what was left."""
        machine, why = self.host.machine, list(self.reboot_reasons)
        boot_id = machine.read(engine.BOOT_ID).strip()
        result, findings = self.to_json(), self.restore(timeline, stage)
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

    def restore(self, timeline: Timeline, stage: str = "undo") -> list[Finding]:
        """Restore everything, and return what was left because others have changed it.

        Raises :class:`~ouchi.core.errors.Failed`.
        """
        journal, machine = self.journal, self.journal.machine
        commit_confirm.disarm(machine)
        reboot.stop_watching(machine)
        packages.undo(journal)
        journal.set_note(reboot.REQUESTED, None)
        for step, group in itertools.groupby(self.ours, lambda record: record.step):
            run_step(
                timeline,
                stage,
                step,
                functools.partial(_undo, journal, tuple(group)),
                expected="the state shown by: ouchi undo --dry-run",
                remedy="correct the cause, then: ouchi undo",
            )
        engine.refresh(journal)  # of a run that was killed before it ran them
        if self.drifted:  # the script must not restore what is restored already
            rescue.write(machine, journal.folder, engine.current(journal))
        else:
            machine.remove(rescue.script_path(journal.folder))
            machine.remove(BEFORE_BINDING)
            machine.remove(journal.folder)
        return [_left(record, self.now[record.location]) for record in self.drifted]


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
