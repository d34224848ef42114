"""Noting what is read from a host, so that it can be asked again elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ouchi.machine import Path, Reader
from ouchi.machine.snapshot.links import follow
from ouchi.machine.snapshot.tree import PROBES

_PMD_INFO = re.compile(rb"PMD_INFO_STRING=[^\0]{1,262144}\0")


@dataclass(frozen=True, slots=True)
class Noted:
    """A host's files by absolute path: contents, link targets, folders, and names that were seen but not read."""

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


class Recorder:
    """A :class:`~ouchi.machine.Reader` that answers as another one does, and notes question and answer.

    Files are noted where they really are, and every link that led there as a link, so that another path to the same
    place leads there in the snapshot too. ``readlink`` gives the whole target of a link of the same host. A text is
    read once, and the same the second time: facts that rest on one file agree with each other, here and there.
    """

    def __init__(self, reader: Reader, readlink: Callable[[str], str] = os.readlink) -> None:
        self._reader = reader
        self._readlink = readlink
        self._texts: dict[str, str] = {}
        self._targets: dict[str, str | None] = {}
        self.noted = Noted()

    def read(self, path: Path) -> str:
        text = self._texts.get(str(path))
        if text is None:
            text = self._texts[str(path)] = self._reader.read(path)
            self.noted.files[self._place(path)] = text.encode("utf-8", errors="replace")
        return text

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        content = self._reader.read_bytes(path, most)
        self.noted.files[self._place(path)] = essence(content)
        return content

    def probe(self, name: str) -> str:
        text = self._reader.probe(name)
        if text:
            self.noted.files[f"{PROBES}/{name}"] = text.encode()
        return text

    def exists(self, path: Path) -> bool:
        found = self._reader.exists(path)
        if found:
            self.noted.names.add(self._place(path))
        return found

    def entries(self, path: Path) -> list[str]:
        names = self._reader.entries(path)
        if names:
            place = self._place(path)
            self.noted.folders.add(place)
            self.noted.names.update(f"{place}/{name}" for name in names)
        return names

    def link(self, path: Path) -> str:
        name = self._reader.link(path)
        if name:
            folder, _, last = str(path).rpartition("/")
            self._target(f"{self._place(folder)}/{last}")
        return name

    def _place(self, path: Path) -> str:
        return follow(str(path), self._target, self._passed)

    def _target(self, place: str) -> str | None:
        # /proc/net leads by way of the number of this very process: as far as a host is concerned it is a folder.
        if place.startswith("/proc/"):
            return None
        if place not in self._targets:
            try:
                self._targets[place] = self.noted.links[place] = self._readlink(place)
            except OSError:
                self._targets[place] = None
        return self._targets[place]

    def _passed(self, place: str) -> bool:
        self.noted.folders.add(place)
        return True


def essence(content: bytes) -> bytes:
    """What a snapshot keeps of a file's bytes: of a program or library only what DPDK's drivers say of themselves."""
    return b"".join(_PMD_INFO.findall(content)) if content.startswith(b"\x7fELF") else content
