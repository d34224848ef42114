"""All that facts read of a host, in one round trip: a script there writes it down, here it becomes a tree of files.

Reading a host file by file would take as many round trips as it has files of interest, some thousands. What the
script writes is in ``sh/gather.sh``; like a snapshot it is a copy in memory, which answers as the host would.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

from ouchi.core.errors import Failed, error
from ouchi.machine import Machine, Reader, probes
from ouchi.machine.sh import script
from ouchi.machine.snapshot.archive import ArchiveReader, Index, folders_of
from ouchi.machine.snapshot.links import LeadsOutsideError, follow
from ouchi.machine.snapshot.tree import LARGEST, PROBES
from ouchi.machine.ssh.machine import SshMachine

SECONDS = 120.0
"""How long a host may take to tell all; a large one takes a few."""

_SECTIONS = ("names", "texts", "drivers", "ethtool", "ovs", "end")


def gather(machine: SshMachine) -> ArchiveReader:
    """What facts are made of, as the host is now. Raises :class:`~ouchi.core.errors.Failed` when not all of it came."""
    mark = new_mark()
    said = machine.say(("sh", "-c", script("gather"), "sh", mark), seconds=SECONDS)
    return read_gathered(said, mark, str(machine.address), machine.probe("session"))


def reader_of(machine: Machine) -> Reader:
    """What facts of a machine are best read from."""
    return gather(machine) if isinstance(machine, SshMachine) else machine


def new_mark() -> str:
    """A word that no file of a host has in it."""
    return f"ouchi-{secrets.token_hex(16)}"


def read_gathered(said: bytes, mark: str, where: str, session: str = "") -> ArchiveReader:
    """What the script wrote, as a tree. ``where`` names the host, ``session`` is the answer to the probe of that name.

    Raises :class:`~ouchi.core.errors.Failed` when its end is missing.
    """
    parts = _sections(said, mark)
    if tuple(parts) != _SECTIONS:
        raise Failed(
            error(
                "the host did not say everything that was asked",
                where=where,
                found=f"{len(said)} bytes, {', '.join(parts) or 'no section'}",
                expected=", ".join(_SECTIONS),
                remedy="it needs a POSIX shell, coreutils, findutils and GNU grep",
            )
        )
    made = _Gathered()
    for kind, path, target in _names(parts["names"]):
        made.name(kind, path, target)
    for path, text in [*_lines(parts["texts"]), *_drivers(parts["drivers"])]:
        made.add(path, text)
    for interface, said_of_it in _ethtool(parts["ethtool"]):
        made.add(f"{PROBES}/ethtool/{interface}", said_of_it.encode())
    made.add(f"{PROBES}/ovs-version", probes.ovs_version(_text(parts["ovs"])).encode())
    made.add(f"{PROBES}/session", session.encode())
    return ArchiveReader(where, made.index(where))


class _Gathered:
    """Files, links and folders where they really are, however they were asked for."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._folders: set[str] = set()
        self._known: dict[str, str] = {}

    def name(self, kind: str, path: str, target: str) -> None:
        """Something that is there."""
        place = self._beside(path)
        if not place.isprintable() or place in self._links:
            return
        if kind == "l":
            self._links[place] = target
        elif kind == "d":
            self._folders.add(place)
        else:
            self._texts.setdefault(place, b"")

    def add(self, path: str, text: bytes) -> None:
        """A file's content."""
        place = self._beside(path)
        if place in self._links or place.endswith(("/.", "/..")):
            place = self._place(place)
        if place and place.isprintable():
            self._texts[place] = text[: LARGEST + 1]

    def index(self, where: str) -> Index:
        """All of it, as an archive's."""
        data = bytearray()
        files = {}
        for place, text in self._texts.items():
            if place not in self._links and place not in self._folders:
                files[place] = (len(data), len(text))
                data += text
        return Index(data, files, self._links, folders_of(files, self._links, self._folders, where))

    def _beside(self, path: str) -> str:
        """Where a path is, its last part not followed; many have their folder in common."""
        folder, _, name = path.rpartition("/")
        if folder not in self._known:
            self._known[folder] = self._place(folder)
        return f"{self._known[folder]}/{name}"

    def _place(self, path: str) -> str:
        try:
            return follow(path, self._links.get, lambda _: True)
        except (OSError, LeadsOutsideError):
            return "\n"  # nowhere: nobody asks for it


def _sections(said: bytes, mark: str) -> dict[str, bytes]:
    """What stands between the marks, by name."""
    found = {}
    for part in said.split(f"\n{mark} ".encode())[1:]:
        name, _, content = part.partition(b"\n")
        found[_text(name)] = content
    return found


def _names(content: bytes) -> Iterator[tuple[str, str, str]]:
    """Kind, path and target of each name."""
    words = content.split(b"\0")
    for first, target in zip(words[::2], words[1::2], strict=False):
        yield _text(first[:1]), _text(first[1:]), _text(target)


def _lines(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and text of each file. A path may have newlines in it, a line may have zeros."""
    texts: dict[bytes, list[bytes]] = {}
    at = 0
    while (zero := content.find(b"\0", at)) >= 0 and (end := content.find(b"\n", zero)) >= 0:
        texts.setdefault(content[at:zero], []).append(content[zero + 1 : end])
        at = end + 1
    for path, lines in texts.items():
        yield _text(path), b"\n".join(lines)


def _drivers(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and PMD information of each file, as a snapshot keeps them."""
    words = content.split(b"\0")
    texts: dict[bytes, bytes] = {}
    for path, text in zip(words[::2], words[1::2], strict=False):
        texts[path] = texts.get(path, b"") + text + b"\0"
    for path, text in texts.items():
        yield _text(path), text


def _ethtool(content: bytes) -> Iterator[tuple[str, str]]:
    words = [_text(word) for word in content.split(b"\0")]
    for name, driver, channels in zip(words[::3], words[1::3], words[2::3], strict=False):
        if (text := probes.ethtool_text(driver, channels)) and "/" not in name and name not in (".", ".."):
            yield name, text


def _text(data: bytes) -> str:
    return os.fsdecode(data)
