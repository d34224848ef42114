"""Hosts to plan for: descriptions of a few lines, turned into the files that Linux would show.

``reader("ryzen-9-9950x3d")`` answers like that machine; ``build(host)`` makes one from any description, and its
``to_folder`` and ``to_tar`` write a snapshot. A case that was recorded on a real machine is stored as it was.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ouchi.machine.snapshot import SnapshotReader
from tests.hosts.cpus import put_cpus
from tests.hosts.description import Host, load
from tests.hosts.memory import put_memory
from tests.hosts.network import put_network
from tests.hosts.pci import put_pci
from tests.hosts.software import put_software
from tests.hosts.tree import Tree

CASES = Path(__file__).parents[1] / "cases" / "hosts"
IN_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where thousands of small files are made at once; on a disk they take seconds."""


def names() -> list[str]:
    """Every case, by name."""
    return sorted(folder.name for folder in CASES.iterdir() if (folder / "README.md").is_file())


def reader(name: str) -> Tree | SnapshotReader:
    """The host of a case: built from its ``host.yaml``, or read from the ``root`` that was recorded."""
    folder = CASES / name
    described = folder / "host.yaml"
    return build(load(described)) if described.is_file() else SnapshotReader(folder / "root")


def build(host: Host) -> Tree:
    """All files of a host that say what it is."""
    tree = Tree()
    put_cpus(tree, host)
    put_memory(tree, host)
    put_pci(tree, host)
    put_network(tree, host)
    put_software(tree, host)
    return tree


@cache
def folder(name: str) -> Path:
    """The files of a case in a folder: made once, removed when the process ends."""
    made = TemporaryDirectory(prefix="ouchi-host-", dir=IN_MEMORY)
    atexit.register(made.cleanup)
    build(load(CASES / name / "host.yaml")).to_folder(Path(made.name))
    return Path(made.name)
