"""The rescue script, which undoes every change without ouchi: for commit-confirm, and for a person at the console.

It needs a shell and the host's own tools. It is for emergencies, so it overwrites what others have changed since;
``undo`` does not. But a file that was there before ouchi and has another text since is left: the host may need that text
to boot.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable

from ouchi.machine import Machine
from ouchi.steps import SECONDS, Record
from ouchi.steps.kinds import KINDS
from ouchi.steps.refresh import REFRESHES


def script_path(folder: str) -> str:
    """The path of the script."""
    return f"{folder}/rescue.sh"


def mark_path(folder: str) -> str:
    """The path of the file that says when it ran."""
    return f"{folder}/rescued"


def write(machine: Machine, folder: str, records: Iterable[Record]) -> None:
    """Write the script for records, oldest first; what a reboot undoes is left out."""
    machine.write(script_path(folder), text(folder, tuple(one for one in records if not one.boot_id)), mode=0o700)


def text(folder: str, records: tuple[Record, ...]) -> str:
    """Every state that was there before, newest first; then what makes them take effect."""
    path = script_path(folder)
    lines = [
        "#!/bin/sh",
        f"# Undoes every change that ouchi made to this host: sh {path}, as root. ouchi undo also respects later changes of others.",
        "failed=0",
        'part() { if ! timeout "$3" sh -ceu "$2"; then echo "not undone: $1" >&2; failed=1; fi; }',
    ]
    for _, group in itertools.groupby(reversed(records), lambda record: record.step):
        step = tuple(group)
        lines += [_part(f"{one.kind} {one.key}", _undo(one), SECONDS) for one in step]
        due = {name for record in step for name in record.then}
        lines += [_part(name, script, seconds) for name, (script, seconds) in REFRESHES.items() if name in due]
    lines += [f"date >{shlex.quote(mark_path(folder))}", "exit $failed"]
    return "\n".join(lines) + "\n"


def _undo(record: Record) -> str:
    script = KINDS[record.kind].script(record.key, record.before)
    packed = [state["file"] for state in (record.before, record.after) if isinstance(state, dict) and "file" in state]
    if len(packed) < 2:
        return script
    path = shlex.quote(record.key)
    return (
        f"if [ -f {path} ]; then case $(base64 -w0 -- {path}) in {'|'.join(map(shlex.quote, packed))}) ;;\n"
        f"*) echo {shlex.quote(f'{record.key} was changed by another program or user since')} >&2; exit 1 ;; esac; fi\n{script}"
    )


def _part(what: str, script: str, seconds: float) -> str:
    return f"part {shlex.quote(what)} {shlex.quote(script)} {seconds:g}"


def last_run(machine: Machine, folder: str) -> str:
    """When the script ran since ouchi last changed the host; empty when it did not."""
    return machine.read(mark_path(folder)).strip() if machine.exists(mark_path(folder)) else ""
