"""Applying a plan to a machine: look, refuse or show, change step by step, and say what a restart is needed for."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ouchi.core.errors import BadInput, Failed, error
from ouchi.core.events import Kind, Timeline
from ouchi.facts import Facts
from ouchi.facts.nics import BEFORE_BINDING, KEPT
from ouchi.host import boot, guard, reboot
from ouchi.host import nics as cards
from ouchi.host.refusals import grub_edited, refusals
from ouchi.host.step import Step
from ouchi.host.steps import host_steps
from ouchi.host.survey import Surroundings, look_around
from ouchi.machine import CommandFailed, Machine
from ouchi.parts import packages
from ouchi.plan.target import Target, check_names
from ouchi.steps import Change, Record, engine, rescue
from ouchi.steps import file as path
from ouchi.steps.journal import Journal, Scope
from ouchi.steps.refresh import LINE


@dataclass(frozen=True, slots=True)
class Prepared:
    """A machine, what the plan asks of it, and what of that is not so yet.

    ``to_do``: each step with its changes that must be made. ``gone``: what an earlier plan asked for and this one does
    not. ``rescued``: when the rescue script put everything back, if it did. ``booted``: the kernel runs with the plan's words. ``why``: what a restart is needed for once all is made.
    """

    machine: Machine
    folder: str
    target: Target
    journal: Journal
    around: Surroundings
    steps: tuple[Step, ...]
    now: engine.States
    to_do: tuple[tuple[Step, tuple[Change, ...]], ...]
    gone: tuple[Record, ...]
    booted: bool
    why: tuple[str, ...]
    packages: tuple[str, ...]
    rescued: str

    @property
    def anything(self) -> bool:
        """Whether something is to be changed, now or after a restart, or was left by a run that did not end."""
        return bool(self.to_do or self.gone or self.why or self.unfinished or self.rescued)

    @property
    def unfinished(self) -> bool:
        """Whether a former run left its guard, its units or refreshes: it was killed, or restarted the machine."""
        units = self.journal.records(engine.ONE_BOOT)
        notes = [self.journal.note(name) for name in (engine.DUE, reboot.ASKED)]
        return f"{guard.UNIT}.timer" in self.around.active or bool(units or any(notes))


def prepare(machine: Machine, target: Target, folder: str, *, own_switch: bool = False) -> Prepared:
    """Look at the machine. Raises :class:`~ouchi.core.errors.BadInput` with every reason not to touch it."""
    check_names(target.plan)
    used = (*target.dpdk_nics, *target.sriov_nics)
    names = [*(nic.name for nic in used), *(nic.address for nic in used)]
    journal = Journal(machine, folder, Scope.MACHINE)
    added = boot.added_words(journal)
    around = boot.told_apart(look_around(machine, names), target.facts.boot.parameters, added)
    steps = host_steps(target, around, own_switch=own_switch)
    changes = [change for step in steps for change in step.changes]
    known = engine.current(journal)
    now = engine.look(machine, [*(change.location for change in changes), *(record.location for record in known)])
    due = engine.pending(journal, changes, now)
    to_do = tuple((step, todo) for step in steps if (todo := tuple(c for c in step.changes if c in due)))
    findings = refusals(target, around)
    if any("grub" in change.then for change in due) and not any("grub" in record.then for record in known):
        findings += grub_edited(machine)
    if any(boot.ENTRIES in change.then for change in due):
        findings += boot.entries_in_the_way(around, first=not any(boot.ENTRIES in record.then for record in known))
    if findings:
        raise BadInput(findings)
    needs = ("driverctl",) if cards.to_bind(target) and "driverctl" not in around.programs else ()
    why = tuple(reboot.reasons(target, around))
    booted = not boot.missing(target.plan.kernel_args, target.facts.boot.parameters)
    return Prepared(
        machine, folder, target, journal, around, steps, now, to_do, tuple(engine.left_over(journal, changes)), booted, why,
        needs, rescue.last_run(machine, folder),
    )  # fmt: skip


def carry_out(
    prepared: Prepared,
    timeline: Timeline,
    again: Callable[[], Facts],
    ask: Callable[[str], bool] | None = None,
    stage: str = "host",
) -> list[str]:
    """Make every change that can be made now. Returns why the machine must be restarted; empty: all is done.

    ``again`` reads the facts over a new connection, to see that the machine is still reached; ``ask`` the user, where there is one.
    Raises :class:`~ouchi.core.errors.Failed`; the next call goes on.
    """
    machine, journal = prepared.machine, prepared.journal
    timed = functools.partial(_timed, timeline, stage)
    if prepared.unfinished:
        guard.disarm(machine)
        reboot.finish(machine, journal)
        machine.remove(rescue.mark_path(prepared.folder))
        reboot.check_done(journal, prepared.around, prepared.why, prepared.rescued)
    if not prepared.anything:
        return []
    machine.make_folder(prepared.folder)
    machine.remove(rescue.mark_path(prepared.folder))
    if prepared.packages:
        timed("packages", lambda: packages.install(machine, journal, prepared.packages, lambda _text: None).text)
    todo = [(step, changes) for step, changes in prepared.to_do if prepared.booted or not step.booted]
    _note(prepared, {step.name: changes for step, changes in todo})
    if prepared.gone:
        timed("former plan", lambda: _give_back(prepared))
    cutting = False
    for step, changes in todo:
        if step.cuts and not cutting:
            guard.arm(machine, prepared.folder)
            cutting = True
        timed(step.name, functools.partial(_make, prepared, changes))
    engine.refresh(journal)  # of a run that was killed before it came to them
    if cutting:
        timed("still reached", lambda: _confirm(prepared, again, ask))
    return list(prepared.why)


def _note(prepared: Prepared, changes: Mapping[str, Sequence[Change]]) -> None:
    """The journal, the cards' names and the rescue script, before anything is touched."""
    machine, journal, target = prepared.machine, prepared.journal, prepared.target
    _note_kernel(prepared, changes)
    engine.note(journal, changes, prepared.now)
    bound = {nic.address for nic in cards.to_bind(target)} | {*cards.companions(target, prepared.around)}
    told = {
        nic.address: {key: getattr(nic, key) for key in KEPT}
        for nic in target.facts.nics
        if nic.address in bound and nic.name
    }
    if told:
        # A card without the kernel's driver has no name any more; the site goes on calling it by the one it had.
        machine.write(BEFORE_BINDING, json.dumps(told, indent=1) + "\n")
    rescue.write(machine, prepared.folder, engine.current(journal))


def _note_kernel(prepared: Prepared, changes: Mapping[str, Sequence[Change]]) -> None:
    """Our words for the kernel, and what undo needs to know of the line of systemd-boot, which is the user's as well."""
    journal = prepared.journal
    # Those of a former plan stay: the kernel may run with them, and until it is written anew the line has them.
    words = dict.fromkeys((*boot.added_words(journal), *boot.ours(prepared.target, prepared.around)))
    journal.set_note(boot.PARAMETERS, list(words))
    if not any(boot.ENTRIES in change.then for some in changes.values() for change in some):
        return
    now, line = prepared.now["file", boot.ENTRY], boot.own_line(prepared.around)
    known = [record for record in engine.current(journal) if record.key == boot.ENTRY]
    if now is None and not known:
        prepared.machine.write(LINE, line)
    for record in known:
        if engine.drifted(record, now):
            # Words that the user has written there since are to outlive undo.
            fresh = path.file_state(line)["file"]
            journal.put([replace(record, before=now and {**now, "file": fresh})])


def _give_back(prepared: Prepared) -> str:
    theirs = [record for record in prepared.gone if engine.drifted(record, prepared.now[record.location])]
    ours = [record for record in prepared.gone if record not in theirs]
    engine.undo(prepared.journal, ours)
    left = f"; left as somebody else made it: {', '.join(record.key for record in theirs)}" if theirs else ""
    return f"put back: {', '.join(record.key for record in ours) or 'nothing'}{left}"


def _make(prepared: Prepared, changes: Sequence[Change]) -> str:
    engine.bring_about(prepared.journal, changes)
    run = engine.refresh(prepared.journal, {name for change in changes for name in change.then})
    if "grub" in run:
        _check_grub(prepared)
    if boot.ENTRIES in run:
        _check_entries(prepared)
    return ", ".join(dict.fromkeys(change.key for change in changes))


def _check_grub(prepared: Prepared) -> None:
    """What counts is what the next boot will read."""
    text = prepared.machine.read("/boot/grub/grub.cfg")
    lines = [line for line in text.splitlines() if line.strip().startswith("linux")]
    for words in filter(None, [boot.ours(prepared.target, prepared.around)]):
        if not any(set(words) <= set(line.split()) for line in lines):
            raise Failed(
                error(
                    "update-grub ran, but the kernel would not be started as planned",
                    where="/boot/grub/grub.cfg",
                    found=lines[0].strip()[:200] if lines else "no line that starts a kernel",
                    expected=" ".join(words),
                    remedy="look for files in /etc/default/grub.d after 90-ouchi.cfg that set GRUB_CMDLINE_LINUX anew",
                )
            )


def _check_entries(prepared: Prepared) -> None:
    words = boot.ours(prepared.target, prepared.around)
    wrong = boot.not_in_entries(words, look_around(prepared.machine, ()).entries)
    if wrong:
        raise Failed(
            [
                error(
                    "kernel-install ran, but the kernel would not be started as planned",
                    where=place,
                    found=options.strip()[:200],
                    expected=f"once each: {' '.join(words)}",
                    remedy="kernel-install inspect says which layout and folder it uses; then: ouchi apply",
                )
                for place, options in wrong.items()
            ]
        )


def _confirm(prepared: Prepared, again: Callable[[], Facts], ask: Callable[[str], bool] | None) -> str:
    guard.confirm(prepared.machine, prepared.folder, prepared.target.facts, again, ask)
    return "over a new connection"


def _timed(timeline: Timeline, stage: str, name: str, act: Callable[[], str]) -> None:
    begin = time.monotonic()
    timeline.emit(Kind.STARTED, stage, name)
    try:
        text = act()
    except CommandFailed as failure:
        timeline.emit(Kind.FAILED, stage, name, engine.failed(failure), time.monotonic() - begin)
        raise Failed(
            error(
                f"the step {name} could not be made",
                found=engine.failed(failure),
                expected="the change shown by: ouchi apply --dry-run",
                remedy="mend what it says, then: ouchi apply (goes on) or ouchi undo (puts all back)",
            )
        ) from None
    except Failed as failure:
        timeline.emit(Kind.FAILED, stage, name, failure.findings[0].claim, time.monotonic() - begin)
        raise
    timeline.emit(Kind.CHANGED, stage, name, text, time.monotonic() - begin)
