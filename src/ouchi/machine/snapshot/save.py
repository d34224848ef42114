"""Writing what was read from a host into one file."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator

from ouchi import __version__
from ouchi.core.errors import BadInput, error
from ouchi.machine import Path
from ouchi.machine.local import LocalMachine
from ouchi.machine.snapshot import open_snapshot
from ouchi.machine.snapshot.recorder import Noted
from ouchi.machine.snapshot.redact import redact
from ouchi.machine.snapshot.tree import PROBES

MARK = f"{PROBES}/snapshot"
"""The file that tells a snapshot of ours; it says by which ouchi it was saved."""


def save(noted: Noted, path: Path, session: str = "") -> int:
    """Write a gzip-compressed tar archive of what was noted, without secrets; returns the number of its members.

    ``session`` is the local address of the user's remote session, which the snapshot tells by the probe ``session``.
    The same facts give the same bytes. The file is there at once or not at all, for its owner only. A snapshot that
    ouchi saved there before is replaced; anything else is not. Raises :class:`BadInput`.
    """
    where = str(path)
    if os.path.lexists(where) and not _ours(where):
        raise BadInput(
            error(
                "there is something else in the place of the snapshot",
                where=where,
                expected="a new file, or a snapshot that ouchi saved before",
                remedy="give another name",
            )
        )
    members = snapshot_members(redact(noted, session))
    try:
        LocalMachine().write(os.path.abspath(where), pack(members), mode=0o600)
    except OSError as reason:
        raise BadInput(
            error("the snapshot cannot be saved", where=where, found=str(reason.strerror), remedy="give another name")
        ) from None
    return len(members)


def snapshot_members(noted: Noted) -> tuple[tuple[tarfile.TarInfo, bytes], ...]:
    """The members of the snapshot of a host, of which everything is kept."""
    return tuple(_members(noted))


def pack(members: tuple[tuple[tarfile.TarInfo, bytes], ...]) -> bytes:
    """The bytes of the archive."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(unpacked.getvalue(), mtime=0)


def _members(noted: Noted) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Every member with its content, by name. Folders are members only when nothing is in them."""
    files = {**noted.files, MARK: f"ouchi {__version__}\n".encode()}
    places = noted.names | noted.folders | files.keys() | noted.links.keys()
    parents = {place.rpartition("/")[0] for place in places}
    parents |= {parent for place in tuple(parents) for parent in _above(place)}
    for place in sorted(places - parents - {""}):
        info = tarfile.TarInfo(place.removeprefix("/"))
        content = b""
        if place in noted.links:
            info.type, info.linkname = tarfile.SYMTYPE, noted.links[place]
        elif place in files:
            content = files[place]
            info.size = len(content)
        elif place in noted.folders:
            info.type = tarfile.DIRTYPE
        yield info, content


def _above(place: str) -> Iterator[str]:
    while place := place.rpartition("/")[0]:
        yield place


def _ours(path: str) -> bool:
    try:
        return os.path.isfile(path) and open_snapshot(path).exists(MARK)
    except BadInput:
        return False
