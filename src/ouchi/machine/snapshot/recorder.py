"""Recording everything that is read from a host, for a snapshot."""

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
    """A host's files by real path: contents, link targets, folders, and names that were listed but not read."""

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


class Recorder:
    """A :class:`~ouchi.machine.Reader` that passes on what another one reads, and records it.

    Files are recorded by their real path, and every link on the way as a link, so that other paths to the same file work
    in the snapshot too. ``readlink`` returns the whole target of a link. A text is read once, so that facts from the same
    file agree with each other, here and in the snapshot.
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
            self.noted.files[self._real(path)] = text.encode("utf-8", errors="replace")
        return text

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        content = self._reader.read_bytes(path, most)
        self.noted.files[self._real(path)] = essence(content)
        return content

    def probe(self, name: str) -> str:
        text = self._reader.probe(name)
        if text:
            self.noted.files[f"{PROBES}/{name}"] = text.encode()
        return text

    def exists(self, path: Path) -> bool:
        found = self._reader.exists(path)
        if found:
            self.noted.names.add(self._real(path))
        return found

    def entries(self, path: Path) -> list[str]:
        names = self._reader.entries(path)
        if names:
            real = self._real(path)
            self.noted.folders.add(real)
            self.noted.names.update(f"{real}/{name}" for name in names)
        return names

    def link(self, path: Path) -> str:
        name = self._reader.link(path)
        if name:
            folder, _, last = str(path).rpartition("/")
            self._target(f"{self._real(folder)}/{last}")
        return name

    def _real(self, path: Path) -> str:
        return follow(str(path), self._target, self._passed)

    def _target(self, real: str) -> str | None:
        # /proc/net is a link to the folder of this process: for a snapshot it is a folder itself.
        if real.startswith("/proc/"):
            return None
        if real not in self._targets:
            try:
                self._targets[real] = self.noted.links[real] = self._readlink(real)
            except OSError:
                self._targets[real] = None
        return self._targets[real]

    def _passed(self, real: str) -> bool:
        self.noted.folders.add(real)
        return True


def essence(content: bytes) -> bytes:
    """The bytes that a snapshot keeps of a file: of a program or library only the PMD information of DPDK's drivers."""
    return b"".join(_PMD_INFO.findall(content)) if content.startswith(b"\x7fELF") else content
