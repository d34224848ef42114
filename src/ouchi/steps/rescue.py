"""The script that puts a machine back without ouchi: for the guard, and for whoever stands before the machine.

It needs a shell and the host's own tools. What somebody else has changed since is overwritten, as it is for emergencies;
``undo`` is the careful way. But a file that was there before ouchi is left when it has become another since: what the
machine starts with may stand there.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable

from ouchi.machine import Machine
from ouchi.steps import engine
from ouchi.steps.engine import Record
from ouchi.steps.kinds import KINDS
from ouchi.steps.refresh import REFRESHES


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
        'part() { if ! timeout "$3" sh -ceu "$2"; then echo "not put back: $1" >&2; failed=1; fi; }',
    ]
    for _, group in itertools.groupby(reversed(records), lambda record: record.step):
        step = tuple(group)
        lines += [_part(f"{one.kind} {one.key}", _put_back(one), engine.SECONDS) for one in step]
        due = {name for record in step for name in record.then}
        lines += [_part(name, script, seconds) for name, (script, seconds) in REFRESHES.items() if name in due]
    lines += [f"date >{shlex.quote(mark_path(folder))}", "exit $failed"]
    return "\n".join(lines) + "\n"


def _put_back(record: Record) -> str:
    script = KINDS[record.kind].script(record.key, record.before)
    packed = [state["file"] for state in (record.before, record.after) if isinstance(state, dict) and "file" in state]
    if len(packed) < 2:
        return script
    place = shlex.quote(record.key)
    return (
        f"if [ -f {place} ]; then case $(base64 -w0 -- {place}) in {'|'.join(map(shlex.quote, packed))}) ;;\n"
        f"*) echo {shlex.quote(f'{record.key} was changed by somebody else since')} >&2; exit 1 ;; esac; fi\n{script}"
    )


def _part(what: str, script: str, seconds: float) -> str:
    return f"part {shlex.quote(what)} {shlex.quote(script)} {seconds:g}"


def told(machine: Machine, folder: str) -> str:
    """When the script was run since ouchi last changed the machine; empty when it was not."""
    return machine.read(mark_path(folder)).strip() if machine.exists(mark_path(folder)) else ""
