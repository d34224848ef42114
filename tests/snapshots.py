"""Snapshots of the cases, and archives of anything, for the tests that save and read them."""

from __future__ import annotations

import io
import os
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ouchi.facts import collect
from ouchi.machine.snapshot import SnapshotReader
from ouchi.machine.snapshot.recorder import Recorder
from ouchi.machine.snapshot.save import save
from tests.hosts import folder


def recorded(folder: Path) -> Recorder:
    """A folder after its facts were collected through a recorder."""
    tree = SnapshotReader(folder)
    recorder = Recorder(tree, tree.readlink)
    collect(recorder)
    return recorder


@cache
def saved(name: str) -> bytes:
    """The bytes of a case's archive."""
    with TemporaryDirectory() as path:
        save(recorded(folder(name)).noted, f"{path}/host.tar.gz")
        return Path(path, "host.tar.gz").read_bytes()


def tar(*members: tuple[str | bytes, str | bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar archive of (name, content); ``-> x`` makes a link, ``=> x`` a hard link, ``p`` a pipe, ``d`` a folder."""
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w", format=form, errors="surrogateescape") as made:
        for name, content in (("proc/cpuinfo", "processor : 0\n"), *members):
            info = tarfile.TarInfo(os.fsdecode(name))
            data = os.fsencode(content)
            if data.startswith((b"-> ", b"=> ")):
                info.type = tarfile.SYMTYPE if data.startswith(b"-") else tarfile.LNKTYPE
                info.linkname, data = os.fsdecode(data[3:]), b""
            elif data in (b"<p>", b"<d>", b"<c>"):
                info.type = {b"<p>": tarfile.FIFOTYPE, b"<d>": tarfile.DIRTYPE, b"<c>": tarfile.CHRTYPE}[data]
                data = b""
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return found.getvalue()
