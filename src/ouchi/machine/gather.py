"""Fetching all files that facts are read from in one round trip: a script collects them, and they become a tree here.

File by file it would take some thousands of round trips. The format of the script's output is in ``sh/gather.sh``. Like
a snapshot the tree is a :class:`~ouchi.machine.Reader` in memory.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

from ouchi.core.errors import Failed
from ouchi.machine import Machine, Reader, probes
from ouchi.machine.sh import script
from ouchi.machine.snapshot.archive import ArchiveReader, Index, folders_of
from ouchi.machine.snapshot.links import LeadsOutsideError, follow
from ouchi.machine.snapshot.tree import LARGEST, PROBES
from ouchi.machine.ssh.machine import SshMachine

SECONDS = 120.0
"""How long the script may take; on a large host it takes a few seconds."""

_SECTIONS = ("names", "texts", "drivers", "ethtool", "rdma", "ovs", "end")


def gather(machine: SshMachine) -> ArchiveReader:
    """The files that facts are read from. Raises :class:`~ouchi.core.errors.Failed` when some are missing."""
    mark = new_mark()
    output = machine.read_output(("sh", "-c", script("gather"), "sh", mark), seconds=SECONDS)
    return read_gathered(output, mark, str(machine.address), machine.probe("session"))


def reader_of(machine: Machine) -> Reader:
    """The reader for the facts of a machine; a remote one is gathered now."""
    return gather(machine) if isinstance(machine, SshMachine) else machine


def new_mark() -> str:
    """A random word that is in no file of a host."""
    return f"ouchi-{secrets.token_hex(16)}"


def read_gathered(output: bytes, mark: str, where: str, session: str = "") -> ArchiveReader:
    """The script's output as a tree. ``where`` names the host, ``session`` is the text of the probe of that name.

    Raises :class:`~ouchi.core.errors.Failed` when it is not complete.
    """
    parts = _sections(output, mark)
    if tuple(parts) != _SECTIONS:
        raise Failed.of(
            "the facts of the host are not complete",
            where=where,
            found=f"{len(output)} bytes, {', '.join(parts) or 'no section'}",
            expected=", ".join(_SECTIONS),
            remedy="it needs a POSIX shell, coreutils, findutils and GNU grep",
        )
    made = _Gathered()
    for kind, path, target in _names(parts["names"]):
        made.name(kind, path, target)
    for path, text in [*_lines(parts["texts"]), *_drivers(parts["drivers"])]:
        made.add(path, text)
    for interface, text_of_it in _ethtool(parts["ethtool"]):
        made.add(f"{PROBES}/ethtool/{interface}", text_of_it.encode())
    made.add(f"{PROBES}/rdma", parts["rdma"])
    made.add(f"{PROBES}/ovs-version", probes.ovs_version(os.fsdecode(parts["ovs"])).encode())
    made.add(f"{PROBES}/session", session.encode())
    return ArchiveReader(where, made.index(where))


class _Gathered:
    """Files, links and folders by their real paths, whatever path they were read by."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._folders: set[str] = set()
        self._known: dict[str, str] = {}

    def name(self, kind: str, path: str, target: str) -> None:
        """Add something that exists."""
        real = self._beside(path)
        if not real.isprintable() or real in self._links:
            return
        if kind == "l":
            self._links[real] = target
        elif kind == "d":
            self._folders.add(real)
        else:
            self._texts.setdefault(real, b"")

    def add(self, path: str, text: bytes) -> None:
        """Add the content of a file."""
        real = self._beside(path)
        if real in self._links or real.endswith(("/.", "/..")):
            real = self._real(real)
        if real and real.isprintable():
            self._texts[real] = text[: LARGEST + 1]

    def index(self, where: str) -> Index:
        """The index of all of it, as of an archive."""
        data = bytearray()
        files = {}
        for real, text in self._texts.items():
            if real not in self._links and real not in self._folders:
                files[real] = (len(data), len(text))
                data += text
        return Index(data, files, self._links, folders_of(files, self._links, self._folders, where))

    def _beside(self, path: str) -> str:
        """The real path, its last part not followed; many paths have their folder in common."""
        folder, _, name = path.rpartition("/")
        if folder not in self._known:
            self._known[folder] = self._real(folder)
        return f"{self._known[folder]}/{name}"

    def _real(self, path: str) -> str:
        try:
            return follow(path, self._links.get, lambda _: True)
        except (OSError, LeadsOutsideError):
            return "\n"  # a path that nothing reads


def _sections(output: bytes, mark: str) -> dict[str, bytes]:
    """The sections between the marks, by name."""
    found = {}
    for part in output.split(f"\n{mark} ".encode())[1:]:
        name, _, content = part.partition(b"\n")
        found[os.fsdecode(name)] = content
    return found


def _names(content: bytes) -> Iterator[tuple[str, str, str]]:
    """Kind, path and target of each name."""
    words = content.split(b"\0")
    for first, target in zip(words[::2], words[1::2], strict=False):
        yield os.fsdecode(first[:1]), os.fsdecode(first[1:]), os.fsdecode(target)


def _lines(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and text of each file. A path may have newlines in it, a line may have zeros."""
    texts: dict[bytes, list[bytes]] = {}
    at = 0
    while (zero := content.find(b"\0", at)) >= 0 and (end := content.find(b"\n", zero)) >= 0:
        texts.setdefault(content[at:zero], []).append(content[zero + 1 : end])
        at = end + 1
    for path, lines in texts.items():
        yield os.fsdecode(path), b"\n".join(lines)


def _drivers(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and PMD information of each file, as a snapshot keeps them."""
    words = content.split(b"\0")
    texts: dict[bytes, bytes] = {}
    for path, text in zip(words[::2], words[1::2], strict=False):
        texts[path] = texts.get(path, b"") + text + b"\0"
    for path, text in texts.items():
        yield os.fsdecode(path), text


def _ethtool(content: bytes) -> Iterator[tuple[str, str]]:
    words = [os.fsdecode(word) for word in content.split(b"\0")]
    for name, driver, channels in zip(words[::3], words[1::3], words[2::3], strict=False):
        if (text := probes.ethtool_text(driver, channels)) and "/" not in name and name not in (".", ".."):
            yield name, text
