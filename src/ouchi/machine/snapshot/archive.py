"""A snapshot that is an archive: read into memory once, within bounds, and never extracted.

Devices and pipes are read as empty files. Names with control characters or that are not UTF-8 are skipped. Of a name
that occurs twice, the last one counts, as when tar updates an archive. Refused are a file where another member needs a
folder, a name with ``..``, a hard link to something that did not come before it, and everything beyond the bounds.
"""

from __future__ import annotations

import errno
import tarfile
from dataclasses import dataclass

from ouchi.core.errors import BadInput
from ouchi.machine import Path
from ouchi.machine.snapshot.tar import damaged, members, shown, too_much
from ouchi.machine.snapshot.tree import LARGEST, Tree, too_large

MOST_MEMBERS = 100_000
"""Members and folders; a host with 1024 CPUs and 64 NICs has some 40,000."""

LONGEST = 512
"""Characters of a name or a link target; the longest path in /sys has about 200."""

_FILES = frozenset(tarfile.REGULAR_TYPES)
_FOLDERS = frozenset({tarfile.DIRTYPE, b"D"})  # D: GNU's incremental folder


@dataclass(frozen=True, slots=True)
class Index:
    """Where everything is, by absolute path: files as (start, size) within ``data``, links, names by folder."""

    data: bytes | bytearray
    files: dict[str, tuple[int, int]]
    links: dict[str, str]
    folders: dict[str, list[str]]


class ArchiveReader(Tree):
    """A host's files inside a tar archive, found by a dictionary."""

    def __init__(self, name: str, index: Index) -> None:
        super().__init__(name)
        self._index = index

    def read(self, path: Path) -> str:
        # A path that is in the archive as given has only folders above it, so there are no links to follow.
        span = self._index.files.get(str(path))
        if span is None:
            return super().read(path)
        start, size = span
        return self._index.data[start : start + size].decode("utf-8", errors="replace").rstrip("\0")

    def _target(self, path: str) -> str | None:
        return self._index.links.get(path)

    def _is_folder(self, path: str) -> bool:
        return path in self._index.folders

    def _exists(self, path: str) -> bool:
        return path in self._index.files or path in self._index.folders

    def _names(self, path: str) -> list[str]:
        return self._index.folders.get(path, [])

    def _content(self, path: str, most: int) -> bytes:
        span = self._index.files.get(path)
        if span is None:
            raise FileNotFoundError(errno.ENOENT, "not a file in the snapshot", path)
        start, size = span
        return bytes(self._index.data[start : start + min(size, most)])


def index(data: bytes | bytearray, where: str) -> Index:
    """Index the members of a tar archive. Raises :class:`BadInput` when it cannot be used."""
    files: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    bare: set[str] = set()  # folders that are members themselves
    for count, member in enumerate(members(data, where)):
        if count >= MOST_MEMBERS:
            raise too_much(where, f"more than {MOST_MEMBERS} members")
        path = _path_of(member.name, where)
        if not path.isprintable():
            continue
        if path in files or path in links:
            files.pop(path, None)
            links.pop(path, None)
        kind = member.type
        if kind in _FILES:
            if member.size > LARGEST:
                raise too_large(f"{where}: {path}", f"{member.size} bytes")
            files[path] = (member.offset_data, member.size)
        elif kind == tarfile.SYMTYPE:
            if len(member.linkname) > LONGEST:
                found = f"a link of {len(member.linkname)} characters"
                raise damaged(f"{where}: {path}", found, f"at most {LONGEST}")
            links[path] = member.linkname
        elif kind == tarfile.LNKTYPE:
            files[path] = _hard_link(member, files, f"{where}: {path}")
        elif kind in _FOLDERS:
            bare.add(path)
        else:  # devices and pipes
            files[path] = (0, 0)
    return Index(data, files, links, folders_of(files, links, bare, where))


def folders_of(
    files: dict[str, tuple[int, int]], links: dict[str, str], bare: set[str], where: str
) -> dict[str, list[str]]:
    """The names in every folder. Raises :class:`BadInput` where a member is below a file or a link."""
    names: dict[str, list[str]] = {"": []}
    for path in (*files, *links, *bare):
        if path in names:  # a folder that is known from its contents
            continue
        if path in bare:
            names[path] = []
        parent, _, name = path.rpartition("/")
        while parent not in names:  # upwards, until a folder is known
            if len(names) >= MOST_MEMBERS:
                raise too_much(where, f"more than {MOST_MEMBERS} folders")
            names[parent] = [name]
            parent, _, name = parent.rpartition("/")
        names[parent].append(name)
    for kind, others in (("a file", files), ("a link", links)):
        for path in names.keys() & others.keys():
            raise BadInput.of(
                "a snapshot cannot hold a file below a file",
                where=f"{where}: {path}",
                found=f"{kind}, and members below it",
                expected="a folder",
                remedy="take the snapshot again",
            )
    return names


def _path_of(name: str, where: str) -> str:
    """The absolute path that a member's name means: ``sys/a``, ``./sys/a`` and ``/sys//a/`` are ``/sys/a``."""
    if len(name) > LONGEST:
        raise damaged(f"{where}: {shown(name)}", f"a name of {len(name)} characters", f"at most {LONGEST}")
    if "/." not in name and "//" not in name and name[:1] not in "./" and name[-1] != "/":  # as ouchi writes them
        return f"/{name}"
    parts = name.split("/")
    if ".." in parts:
        raise BadInput.of(
            "a name in the snapshot leads outside it",
            where=f"{where}: {shown(name)}",
            expected="names without ..",
            remedy="take the snapshot again",
        )
    if "" in parts or "." in parts:
        parts = [part for part in parts if part not in ("", ".")]
    return "/" + "/".join(parts) if parts else ""


def _hard_link(member: tarfile.TarInfo, files: dict[str, tuple[int, int]], where: str) -> tuple[int, int]:
    span = files.get(_path_of(member.linkname, where))
    if span is None:
        raise damaged(where, f"a hard link to {shown(member.linkname)}", "a link to a file that came before it")
    return span
