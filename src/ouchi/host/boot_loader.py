"""What update-grub and kernel-install have written and would write, and what undo needs to know of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ouchi.core.errors import Failed, Finding, error
from ouchi.host import boot
from ouchi.host.survey import Survey, take_survey
from ouchi.machine import Machine
from ouchi.steps import State, engine
from ouchi.steps.file import file_state
from ouchi.steps.journal import Journal
from ouchi.steps.refresh import LINE

GRUB_CFG = "/boot/grub/grub.cfg"


def edits_in_grub_cfg(machine: Machine) -> Iterator[Finding]:
    """Manual edits of grub.cfg, which update-grub would drop, and changes for which update-grub was not run yet."""
    made = machine.run(("grub-mkconfig",), timeout=300).stdout
    current = machine.read(GRUB_CFG) if machine.exists(GRUB_CFG) else ""
    lines = difflib.unified_diff(current.splitlines(), made.splitlines(), lineterm="", n=0)
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---") and line[1:].strip()]
    if not changed:
        return
    shown = [line[:160] for line in changed[:6]]
    yield error(
        "update-grub would change more than the plan",
        where=GRUB_CFG,
        found=" | ".join(shown) + (f" and {len(changed) - 6} more lines" if len(changed) > 6 else ""),
        expected="the file as update-grub writes it from /etc/default/grub",
        remedy="keep your edits in /etc/default/grub or /etc/grub.d, run update-grub, then: ouchi apply",
    )


def note_parameters(journal: Journal, survey: Survey, params: Sequence[str], *, entry: State, rewrites: bool) -> None:
    """Note the parameters that ouchi adds, and the user's line of systemd-boot, which undo restores.

    ``entry`` is the current state of :data:`~ouchi.host.boot.ENTRY`; ``rewrites``: that file is about to be changed.
    """
    # Those of previous plans stay: the kernel may run with them, and the line has them until it is written again.
    journal.set_note(boot.PARAMETERS, list(dict.fromkeys((*boot.added_params(journal), *params))))
    if not rewrites:
        return
    record = journal.record("file", boot.ENTRY)
    if record is None:
        if entry is None:
            journal.machine.write(LINE, boot.user_line(survey))
    elif engine.drifted(record, entry):
        # Parameters that the user has added to the file since must survive undo.
        users = file_state(boot.user_line(survey))["file"]
        journal.put([replace(record, before=entry and {**entry, "file": users})])


def check_grub(machine: Machine, params: Sequence[str]) -> None:
    """Check that grub.cfg has the parameters. Raises :class:`~ouchi.core.errors.Failed`."""
    lines = [line for line in machine.read(GRUB_CFG).splitlines() if line.strip().startswith("linux")]
    if any(set(params) <= set(line.split()) for line in lines):
        return
    raise Failed.of(
        "update-grub ran, but the kernel would not boot as planned",
        where=GRUB_CFG,
        found=lines[0].strip()[:200] if lines else "no line that boots a kernel",
        expected=" ".join(params),
        remedy="look for files in /etc/default/grub.d after 90-ouchi.cfg that replace GRUB_CMDLINE_LINUX",
    )


def check_entries(machine: Machine, params: Sequence[str]) -> None:
    """Check that each boot loader entry has the parameters. Raises :class:`~ouchi.core.errors.Failed`."""
    wrong = boot.wrong_entries(params, take_survey(machine).entries)
    if wrong:
        raise Failed(
            [
                error(
                    "kernel-install ran, but the kernel would not boot as planned",
                    where=path,
                    found=options.strip()[:200],
                    expected=f"once each: {' '.join(params)}",
                    remedy="kernel-install inspect shows the layout and folder that it uses; then: ouchi apply",
                )
                for path, options in wrong.items()
            ]
        )
