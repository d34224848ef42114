"""QEMU and the tools that make a disk, from Debian 13, unpacked in a folder of their own and never installed.

SR-IOV (``igb``) and caches by die (``smp-cache``) need QEMU 9.2; Debian 12 has 7.2 and Ubuntu 24.04 has 8.2. A saved
state belongs to one version of QEMU as well, so every machine gets the same one. Programs are started through the
dynamic loader that came with them, with their own libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from ouchi.core.events import Notify
from ouchi.machine import Machine
from ouchi.rig.building import building, digest
from ouchi.rig.debian import SUITE, bootstrap

PACKAGES = ("e2fsprogs", "libarchive13t64", "qemu-system-x86", "qemu-utils")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
PATHS = {"mke2fs": "usr/sbin/mke2fs"}
"""Programs that are not in usr/bin."""

FIRMWARE = ("usr/share/seabios", "usr/share/qemu")


@dataclass(frozen=True, slots=True)
class Tools:
    """The folder of the unpacked packages, and the key of what it was made from."""

    folder: PurePath
    key: str

    def argv(self, program: str, *words: str) -> tuple[str, ...]:
        """The command line that runs one of the programs."""
        libraries = self.folder / LIBRARIES
        path = self.folder / PATHS.get(program, f"usr/bin/{program}")
        loader = (str(libraries / "ld-linux-x86-64.so.2"), "--argv0", program, "--library-path", str(libraries))
        return (*loader, str(path), *words)

    def qemu(self, *words: str) -> tuple[str, ...]:
        """The command line of QEMU with this firmware and without default devices or configuration."""
        firmware = [word for path in FIRMWARE for word in ("-L", str(self.folder / path))]
        return self.argv("qemu-system-x86_64", *firmware, "-nodefaults", "-no-user-config", "-display", "none", *words)


def unpack_tools(machine: Machine, cache: PurePath, notify: Notify) -> Tools:
    """The tools in ``cache`` (160 MB), unpacked where they are missing.

    Raises :class:`~ouchi.core.errors.Failed` when Debian's packages cannot be downloaded.
    """
    key = digest(SUITE, *PACKAGES)
    tools = Tools(cache / f"tools-{key}", key)
    if machine.exists(tools.folder):
        return tools
    notify("unpacking QEMU")
    with building(machine, tools.folder) as work:
        packed = work / "packages.tar"
        bootstrap(machine, "extract", packed, PACKAGES, ())
        machine.run(
            ("tar", "-x", "-C", str(work), "--no-same-owner", "--exclude=./dev", "-f", str(packed)), timeout=300
        )
        machine.remove(packed)
    return tools
