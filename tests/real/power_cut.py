"""What a power cut would leave of ouchi's changes: ``python power_cut.py FOLDER HOW``, in a mount namespace of its
own. HOW is ``local``, ``ssh`` (this machine by a real sshd), or ``unsynced``: without fsync, to show that it is missed.

The journal is on a recording disk. The files that ouchi changes are on another file system, as if everything written
there were on disk at once: the worst order that two disks can have. After each command that ouchi runs, and after each
write of the disk, the journal as a power cut would leave it must hold all that was changed by then, and the rescue script
must undo it. Prints JSON: how many moments were looked at, and what was wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import recording_disk
from sshd import Sshd

from ouchi.machine import Machine, Result
from ouchi.machine.local import LocalMachine
from ouchi.machine.ssh.machine import SshMachine
from ouchi.steps import engine, rescue
from ouchi.steps.file import file, link
from ouchi.steps.journal import Journal, Scope

SIZE = 16 * 1024 * 1024
SECONDS = 20


def marking(plain: Machine, mark: Path, changed: Path) -> Machine:
    """The machine, which puts a mark with the changed files into the log after each command and each write."""

    class Marking(type(plain)):  # type: ignore[misc]
        def run(self, argv: Sequence[str], **options: Any) -> Result:
            result: Result = super().run(argv, **options)
            self._mark()
            return result

        def write(self, path: Any, content: str | bytes, **options: Any) -> None:
            super().write(path, content, **options)
            self._mark()

        def _mark(self) -> None:
            present = {path.name: path.read_text() for path in changed.iterdir() if not path.is_symlink()}
            mark.write_text(json.dumps(present))

    plain.__class__ = Marking
    return plain


def change(machine: Machine, state: Path, changed: Path) -> None:
    """Changes as ``apply`` makes them (all noted, then made), as ``up`` does (one by one), and undone."""
    journal = Journal(machine, f"{state}/host", Scope.MACHINE)
    some = [file(f"{changed}/kept", "ours\n"), file(f"{changed}/new", "ours\n"), link(f"{changed}/link", "kept")]
    engine.note(journal, {"step": some}, engine.look(machine, (one.location for one in some)))
    rescue.write(machine, journal.folder, engine.current(journal))
    engine.bring_about(journal, some)
    session = Journal(machine, f"{state}/session")
    for number in range(3):
        engine.make(session, "step", [file(f"{changed}/other{number}", f"ours {number}\n")])
    engine.undo(session)
    engine.undo(journal)


def wrong(folder: Path, present: dict[str, str], *, started: bool) -> Iterator[str]:
    """What is missing from the journals of a power cut when these files are there."""
    before = {"kept": "theirs\n"}
    scopes = {"host": ("kept", "new"), "session": ("other0", "other1", "other2")}
    for scope, names in scopes.items():
        path, script = folder / scope / "journal.json", folder / scope / "rescue.sh"
        text = path.read_text() if path.exists() else ""
        try:
            keys = {record["key"].rpartition("/")[2] for record in json.loads(text)["records"]} if text else set()
        except ValueError:
            yield f"{path.name} of the {scope} is damaged: {text[:80]!r}"
            continue
        if path.exists() and not text:
            yield f"{path.name} of the {scope} is empty"
        changed = {name for name in names if present.get(name) != before.get(name)} if started else set()
        for name in sorted(changed - keys):
            yield f"{name} was changed and the journal of the {scope} does not have it"
        if scope == "host":
            undone = script.read_text() if script.exists() else ""
            yield from (f"{name} was changed and no rescue script undoes it" for name in changed if name not in undone)


def judge(folder: Path) -> dict[str, Any]:
    """Look at every moment of the log from the first mark."""
    image, mounted = folder / "image", folder / "image-mounted"
    mounted.mkdir()
    moments, found = 0, dict[str, int]()
    present: dict[str, str] = {}
    started = False
    last = (b"", "")
    for moment, content in recording_disk.images(folder / "log", SIZE):
        if moment.startswith("mark "):
            present, started = json.loads(moment.removeprefix("mark ")), True
        if not started or last == (content, str(present)):
            continue
        last = content, str(present)
        moments += 1
        image.write_bytes(content)
        with mount(image, mounted):
            for one in wrong(mounted, present, started=started):
                found[one] = found.get(one, 0) + 1
    return {"moments": moments, "wrong": found}


@contextlib.contextmanager
def mount(device: Path, folder: Path) -> Iterator[None]:
    """An ext4 on a loop device; its own commits are too rare to hide a missing sync."""
    subprocess.run(["mount", "-t", "ext4", "-o", "loop,commit=300", device, folder], check=True, timeout=SECONDS)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True, timeout=SECONDS)


@contextlib.contextmanager
def machine(how: str) -> Iterator[Machine]:
    """The machine that makes the changes."""
    if how == "ssh":
        with Sshd() as server, SshMachine(server.address, str(server.config)) as found:
            yield found
    else:
        if how == "unsynced":
            os.fsync = lambda _: None
        yield LocalMachine()


def main(folder: Path, how: str) -> None:
    """Record, then judge."""
    served, state, changed = (folder / name for name in ("served", "state", "changed"))
    for path in (served, state, changed):
        path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", changed], check=True, timeout=SECONDS)
    (changed / "kept").write_text("theirs\n")
    program = Path(recording_disk.__file__)
    disk = subprocess.Popen([sys.executable, str(program), str(served), str(SIZE), str(folder / "log")])
    try:
        until = time.monotonic() + SECONDS
        while not (served / "disk").exists():
            if disk.poll() is not None or time.monotonic() > until:
                raise SystemExit("the recording disk is not there")
            time.sleep(0.05)
        subprocess.run(["mkfs.ext4", "-q", "-F", served / "disk"], check=True, timeout=SECONDS)
        with mount(served / "disk", state), machine(how) as plain:
            change(marking(plain, served / "mark", changed), state, changed)
    finally:
        subprocess.run(["umount", served], check=False, timeout=SECONDS)
        disk.wait(SECONDS)
    print(json.dumps(judge(folder)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
