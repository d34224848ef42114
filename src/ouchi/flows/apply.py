"""``ouchi apply``: survey a host, refuse or show the changes, make them step by step, and reboot where that is needed."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ouchi.core.errors import BadInput, Finding
from ouchi.core.events import EventKind, Timeline
from ouchi.core.instance import Instance
from ouchi.core.plain import to_plain
from ouchi.facts import Facts
from ouchi.facts.nics import BEFORE_BINDING, KEPT
from ouchi.flows.progress import run_step
from ouchi.flows.several_hosts import Done, HostChange
from ouchi.host import boot, boot_loader, commit_confirm, cpus, nics, ovs, reboot
from ouchi.host.refusals import refusals
from ouchi.host.step import Step
from ouchi.host.survey import Survey, take_survey
from ouchi.machine import Machine
from ouchi.parts import packages
from ouchi.plan.load import facts_of
from ouchi.plan.same_host import on_host
from ouchi.plan.target import Target, check_names
from ouchi.report.apply import steps_text
from ouchi.report.documents import StepEntry
from ouchi.steps import Change, Record, engine, rescue
from ouchi.steps.journal import Journal, Scope, open_journal

MOST_ROUNDS = 3
"""How often a host is changed and rebooted in one run: once, as a rule."""

Ask = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The steps for a host's plan, and the changes that are still to be made.

    - ``now``: the current states
    - ``pending``: each step with its changes that are not made yet
    - ``previous``: what an earlier plan needed and this one does not, newest first
    - ``booted``: the kernel runs with the planned parameters
    - ``reboot``: why a reboot is needed once all changes are made
    - ``packages``: the missing ones
    - ``rolled_back``: when the rescue script has rolled all changes back, if it has
    """

    target: Target
    journal: Journal
    survey: Survey
    now: engine.States
    pending: tuple[tuple[Step, tuple[Change, ...]], ...]
    previous: tuple[Record, ...]
    booted: bool
    reboot: tuple[str, ...]
    packages: tuple[str, ...]
    rolled_back: str

    @property
    def anything(self) -> bool:
        """Whether anything is to be changed, now or after a reboot, or was left by a run that did not end."""
        return bool(self.pending or self.previous or self.reboot or self.unfinished or self.rolled_back)

    @property
    def unfinished(self) -> bool:
        """Whether an earlier run left its timer, its units or refreshes: it was killed, or rebooted the host."""
        notes = (self.journal.note(engine.DUE), self.journal.note(reboot.REQUESTED))
        return (
            f"{commit_confirm.UNIT}.timer" in self.survey.active
            or any(notes)
            or bool(self.journal.records(engine.ONE_BOOT))
        )

    @property
    def steps(self) -> tuple[StepEntry, ...]:
        """The pending changes, as they are shown."""
        return tuple(
            StepEntry(
                step.name,
                step.why,
                step.booted and not self.booted,
                tuple(engine.difference(one.location, self.now[one.location], one.state) for one in changes),
            )
            for step, changes in self.pending
        )

    @property
    def removals(self) -> tuple[engine.Difference, ...]:
        """The changes of an earlier plan that are undone, as they are shown."""
        return tuple(engine.difference(one.location, self.now[one.location], one.before) for one in self.previous)

    @property
    def params(self) -> tuple[str, ...]:
        """The kernel parameters to add to the user's."""
        return boot.planned_params(self.target, self.survey)


def prepare(machine: Machine, target: Target, instance: Instance, *, own_ovs: bool = False) -> Prepared:
    """Survey the host. Raises :class:`~ouchi.core.errors.BadInput` with every reason not to change it."""
    check_names(target.plan)
    journal = open_journal(machine, instance, Scope.MACHINE)
    survey = _survey(machine, target, journal)
    steps = host_steps(target, survey, own_ovs=own_ovs)
    changes = [change for step in steps for change in step.changes]
    known = engine.current(journal)
    now = engine.look(machine, [*(change.location for change in changes), *(record.location for record in known)])
    due = engine.pending(journal, changes, now)
    if findings := [*refusals(target, survey), *_boot_loader_refusals(machine, survey, due, known)]:
        raise BadInput(findings)
    return Prepared(
        target=target,
        journal=journal,
        survey=survey,
        now=now,
        pending=tuple((step, todo) for step in steps if (todo := tuple(one for one in step.changes if one in due))),
        previous=tuple(engine.left_over(journal, changes)),
        booted=not boot.missing(target.plan.kernel_args, target.facts.boot.parameters),
        reboot=tuple(reboot.reasons(target, survey)),
        packages=("driverctl",) if nics.to_bind(target) and "driverctl" not in survey.programs else (),
        rolled_back=rescue.last_run(machine, instance.host),
    )


def host_steps(target: Target, survey: Survey, *, own_ovs: bool = False) -> tuple[Step, ...]:
    """Every step in the order in which they are made. Reads nothing from the host.

    With ``own_ovs`` ``up`` runs its own Open vSwitch, so the distribution's is left alone.
    """
    steps = (
        boot.boot_step(target, survey),
        *cpus.cpu_steps(target, survey),
        *nics.nic_steps(target, survey),
        *(() if own_ovs else ovs.ovs_steps(target, survey)),
    )
    return tuple(step for step in steps if step.changes)


def _survey(machine: Machine, target: Target, journal: Journal) -> Survey:
    used = (*target.dpdk_nics, *target.sriov_nics)
    survey = take_survey(machine, [nic.name for nic in used])
    return boot.split_params(survey, target.facts.boot.parameters, boot.added_params(journal))


def _boot_loader_refusals(
    machine: Machine, survey: Survey, due: Sequence[Change], known: Sequence[Record]
) -> Iterator[Finding]:
    """Why update-grub or kernel-install cannot be run; once ouchi has run it, it may be run again."""

    def first(refresh: str) -> bool:
        return not any(refresh in record.then for record in known)

    if any("grub" in change.then for change in due) and first("grub"):
        yield from boot_loader.edits_in_grub_cfg(machine)
    if any(boot.ENTRIES in change.then for change in due):
        yield from boot.foreign_entries(survey, first=first(boot.ENTRIES))


def make(
    prepared: Prepared,
    timeline: Timeline,
    read_facts: Callable[[], Facts],
    ask: Ask | None = None,
    stage: str = "host",
) -> tuple[str, ...]:
    """Make every change that can be made before a reboot. Returns why a reboot is needed; empty when all is done.

    ``read_facts`` reads the facts over a new connection, to confirm connectivity; ``ask`` asks the user, where there is
    one. Raises :class:`~ouchi.core.errors.Failed`; the next call continues.
    """
    machine, journal = prepared.journal.machine, prepared.journal
    step = functools.partial(
        run_step,
        timeline,
        stage,
        expected="the change shown by: ouchi apply --dry-run",
        remedy="correct the cause, then: ouchi apply (continues) or ouchi undo (undoes all changes)",
    )
    _finish_earlier_run(prepared)
    if not prepared.anything:
        return ()
    machine.make_folder(journal.folder)
    machine.remove(rescue.mark_path(journal.folder))
    if prepared.packages:
        step("packages", lambda: packages.install(journal, prepared.packages, lambda _text: None).text)
    todo = [(one, changes) for one, changes in prepared.pending if prepared.booted or not one.booted]
    _note(prepared, {one.name: changes for one, changes in todo})
    if prepared.previous:
        step("previous plan", lambda: _undo_previous(prepared))
    confirming = False
    for one, changes in todo:
        if one.cuts and not confirming:
            commit_confirm.arm(machine, journal.folder)
            confirming = True
        step(one.name, functools.partial(_bring_about, prepared, changes))
    engine.refresh(journal)  # of a run that was killed before it ran them
    if confirming:
        step("connectivity", lambda: commit_confirm.confirm(journal, prepared.target.facts, read_facts, ask))
    return prepared.reboot


def _finish_earlier_run(prepared: Prepared) -> None:
    """Raises :class:`~ouchi.core.errors.Failed` for a reboot that did not bring what it was for."""
    if prepared.unfinished:
        machine, journal = prepared.journal.machine, prepared.journal
        commit_confirm.disarm(machine)
        reboot.finish(journal)
        machine.remove(rescue.mark_path(journal.folder))
        reboot.check_done(journal, prepared.survey, prepared.reboot, prepared.rolled_back)


def _note(prepared: Prepared, changes: Mapping[str, Sequence[Change]]) -> None:
    """Write the journal, the NICs' names and the rescue script, before anything is changed."""
    journal, target = prepared.journal, prepared.target
    rewrites = any(boot.ENTRIES in change.then for some in changes.values() for change in some)
    entry = prepared.now.get(("file", boot.ENTRY))
    boot_loader.note_parameters(journal, prepared.survey, prepared.params, entry=entry, rewrites=rewrites)
    engine.note(journal, changes, prepared.now)
    bound = {nic.address for nic in nics.to_bind(target)} | {*nics.companions(target)}
    kept = {
        nic.address: {key: getattr(nic, key) for key in KEPT}
        for nic in target.facts.nics
        if nic.address in bound and nic.name
    }
    if kept:
        # A NIC that is bound to another driver has no name any more; the site file still uses the one that it had.
        journal.machine.write(BEFORE_BINDING, json.dumps(kept, indent=1) + "\n")
    rescue.write(journal.machine, journal.folder, engine.current(journal))


def _undo_previous(prepared: Prepared) -> str:
    drifted = [record for record in prepared.previous if engine.drifted(record, prepared.now[record.location])]
    ours = [record for record in prepared.previous if record not in drifted]
    engine.undo(prepared.journal, ours)
    left = f"; left as others changed it: {', '.join(record.key for record in drifted)}" if drifted else ""
    return f"undone: {', '.join(record.key for record in ours) or 'nothing'}{left}"


def _bring_about(prepared: Prepared, changes: Sequence[Change]) -> str:
    journal = prepared.journal
    engine.bring_about(journal, changes)
    run = engine.refresh(journal, {name for change in changes for name in change.then})
    if "grub" in run and prepared.params:
        boot_loader.check_grub(journal.machine, prepared.params)
    if boot.ENTRIES in run:
        boot_loader.check_entries(journal.machine, prepared.params)
    return ", ".join(dict.fromkeys(change.key for change in changes))


@dataclass
class Apply(HostChange):
    """``apply`` on one host, with its plan or with a ``saved`` one."""

    saved: Target | None = None
    own_ovs: bool = False
    prepared: Prepared = field(init=False)
    command: ClassVar[str] = "apply"

    def survey(self) -> None:
        target = on_host(self.saved, facts_of(self.host.reader())) if self.saved else self.host.target()
        self.prepare(target)

    def prepare(self, target: Target) -> None:
        """Prepare the changes for a plan. Raises :class:`~ouchi.core.errors.BadInput` with every refusal."""
        self.prepared = prepare(self.host.machine, target, self.instance, own_ovs=self.own_ovs)
        self.needed, self.reboot_reasons = self.prepared.anything, self.prepared.reboot

    def text(self) -> str:
        prepared = self.prepared
        if not (prepared.steps or prepared.removals or prepared.reboot or prepared.rolled_back):
            return "nothing to do: the host is as planned"
        steps = [*prepared.steps]
        if prepared.removals:
            steps.append(StepEntry("previous plan", "not in this plan", False, prepared.removals))
        when = f"rolled back on {prepared.rolled_back}: connectivity was not confirmed"
        return steps_text(steps, reboot=prepared.reboot, notes=[when] if prepared.rolled_back else [])

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": to_plain(self.prepared.steps),
            "previous": to_plain(self.prepared.removals),
            "reboot": list(self.prepared.reboot),
            "rolled_back": self.prepared.rolled_back,
        }

    def make(self, timeline: Timeline, stage: str) -> Done:
        """Change the host, reboot it where that is needed and allowed, and continue."""
        result = self.to_json()
        for _ in range(MOST_ROUNDS):
            if not self.needed:
                break
            why = make(self.prepared, timeline, self.host.facts_over_new_connection, self._ask(timeline), stage)
            if not why:
                break
            timeline.emit(EventKind.NOTE, stage, "reboot", f"{stage}: a reboot is needed: {'; '.join(why)}")
            if not self.options.reboot:
                return Done(result | {"rebooted": False, "reboot_needed": list(why)})
            if not self._reboot(timeline, stage):
                return Done(result | {"rebooted": True, "reboot_needed": []})
            self.survey()
        return Done(result | {"rebooted": bool(result["reboot"]), "reboot_needed": []})

    def _ask(self, timeline: Timeline) -> Ask | None:
        """A user at a terminal of the host itself is asked; for a remote host a new connection is the better proof."""
        if self.options.yes or self.host.address:
            return None

        def ask(text: str) -> bool:
            with timeline.paused():
                return self.options.ask(text)

        return ask

    def _reboot(self, timeline: Timeline, stage: str) -> bool:
        """Reboot. True when the host is back; false for this machine, which ends ouchi as well."""
        prepared = self.prepared
        resume = () if self.host.address else self.options.resume
        reboot.request(prepared.journal, prepared.survey, prepared.target.facts, resume)
        if not self.host.address:
            text = "rebooting; ouchi continues afterwards: journalctl -u ouchi-continue"
            timeline.emit(EventKind.NOTE, stage, "reboot", text)
            return False
        begin = timeline.now()
        timeline.emit(EventKind.STARTED, stage, "reboot")
        self.wait_for_reboot(prepared.survey.boot_id)
        timeline.emit(EventKind.CHANGED, stage, "reboot", "it is back", timeline.now() - begin)
        return True
