"""Writing a snapshot: the recorded files of a host in one archive."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterable, Iterator

from ouchi import __version__
from ouchi.core.errors import BadInput
from ouchi.machine import Path
from ouchi.machine.local import LocalMachine
from ouchi.machine.owners import require_own
from ouchi.machine.snapshot import open_snapshot
from ouchi.machine.snapshot.recorder import Noted
from ouchi.machine.snapshot.redact import Redactor
from ouchi.machine.snapshot.tree import PROBES

MARK = f"{PROBES}/snapshot"
"""The file that marks a snapshot of ouchi's; it has the version that saved it."""


def save(noted: Noted, path: Path, session: str = "") -> int:
    """Write a gzip-compressed tar archive of the redacted files; return the number of its members.

    ``session`` is the local address of the user's remote session, kept as the probe ``session``. The same facts give the
    same bytes. The file is written atomically, for its owner only. It replaces a snapshot that ouchi saved there before,
    and no other file. Raises :class:`BadInput`.
    """
    where = str(path)
    require_own(where)
    if os.path.lexists(where) and not _ours(where):
        raise BadInput.of(
            "the file exists and is no snapshot of ouchi's",
            where=where,
            expected="a new file, or a snapshot that ouchi saved before",
            remedy="give another name",
        )
    members = snapshot_members(Redactor().host(noted, session))
    try:
        LocalMachine().write(os.path.abspath(where), pack(members), mode=0o600)
    except OSError as reason:
        raise BadInput.of(
            "the snapshot cannot be saved", where=where, found=str(reason.strerror), remedy="give another name"
        ) from None
    return len(members)


def pack(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """The bytes of the archive."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(unpacked.getvalue(), mtime=0)


def snapshot_members(noted: Noted) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The members of the archive of a host, from files that are redacted already, with their contents, by name.

    Folders are members only when they are empty.
    """
    members = []
    files = {**noted.files, MARK: f"ouchi {__version__}\n".encode()}
    paths = noted.names | noted.folders | files.keys() | noted.links.keys()
    parents = {path.rpartition("/")[0] for path in paths}
    parents |= {parent for path in tuple(parents) for parent in _above(path)}
    for path in sorted(paths - parents - {""}):
        info = tarfile.TarInfo(path.removeprefix("/"))
        content = b""
        if path in noted.links:
            info.type, info.linkname = tarfile.SYMTYPE, noted.links[path]
        elif path in files:
            content = files[path]
            info.size = len(content)
        elif path in noted.folders:
            info.type = tarfile.DIRTYPE
        members.append((info, content))
    return members


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _ours(path: str) -> bool:
    try:
        return os.path.isfile(path) and open_snapshot(path).exists(MARK)
    except BadInput:
        return False
