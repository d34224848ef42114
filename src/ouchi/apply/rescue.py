"""The script that puts a machine back without ouchi: for the guard, and for whoever stands before the machine.

It needs a shell and the host's own tools. What somebody else has changed since is overwritten: it is for emergencies,
``undo`` is the careful way.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable

from ouchi.apply.engine import Record
from ouchi.changes.kinds import KINDS
from ouchi.changes.refresh import REFRESHES
from ouchi.machine import Machine


def script_path(folder: str) -> str:
    """Where it lies."""
    return f"{folder}/rescue.sh"


def mark_path(folder: str) -> str:
    """The file that says that it was run."""
    return f"{folder}/rescued"


def write(machine: Machine, folder: str, records: Iterable[Record]) -> None:
    """Write the script for these records, oldest first."""
    machine.write(script_path(folder), text(folder, tuple(records)), mode=0o700)


def text(folder: str, records: tuple[Record, ...]) -> str:
    """Every state that was there before, newest first; then what makes them take effect."""
    path = script_path(folder)
    lines = [
        "#!/bin/sh",
        f"# Puts this machine back as it was before ouchi changed it: sh {path}, as root. ouchi undo does it with more care.",
        "failed=0",
        'part() { if ! timeout 300 sh -ceu "$2"; then echo "not put back: $1" >&2; failed=1; fi; }',
    ]
    for _, group in itertools.groupby(reversed(records), lambda record: record.step):
        step = tuple(group)
        lines += [_part(f"{one.kind} {one.key}", KINDS[one.kind].script(one.key, one.before)) for one in step]
        due = {name for record in step for name in record.then}
        lines += [_part(name, script) for name, (script, _) in REFRESHES.items() if name in due]
    lines += [f"date >{shlex.quote(mark_path(folder))}", "exit $failed"]
    return "\n".join(lines) + "\n"


def _part(what: str, script: str) -> str:
    return f"part {shlex.quote(what)} {shlex.quote(script)}"


def told(machine: Machine, folder: str) -> str:
    """When the script was run since ouchi last changed the machine; empty when it was not."""
    return machine.read(mark_path(folder)).strip() if machine.exists(mark_path(folder)) else ""
