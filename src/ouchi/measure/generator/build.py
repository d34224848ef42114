"""Building the generator on this machine, against the distribution's DPDK."""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from pathlib import PurePath

from ouchi.core.errors import Failed
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.machine import CommandFailed, Machine

PACKAGES = ("gcc", "libc6-dev", "meson", "ninja-build", "pkg-config", "libdpdk-dev", "libjansson-dev")
NAME = "ouchi-generator"

_CPU_FLAGS = re.compile(r"^(?:flags|Features)\s*:.*$", re.MULTILINE)  # what -march=native depends on


def program_path(machine: Machine, instance: Instance) -> str:
    """The path of the program for its sources and the installed DPDK; it may not be built yet."""
    return f"{instance.cache}/generator/{_fingerprint(machine)}/{NAME}"


def build(machine: Machine, instance: Instance, say: Notify) -> str:
    """Build the generator unless it exists; the path of the program.

    Raises :class:`~ouchi.core.errors.Failed` with the compiler's output.
    """
    program = program_path(machine, instance)
    if machine.exists(program):
        return program
    target = program.rpartition("/")[0]
    work = f"{target}.new"
    machine.remove(work)
    machine.make_folder(work)
    say("compiling")
    try:
        machine.run(("meson", "setup", work, _sources(machine)), timeout=120)
        machine.run(("ninja", "-C", work), timeout=300)
    except CommandFailed as reason:
        found = (reason.result.stdout + reason.result.stderr).strip()[-600:]
        raise Failed.of(
            "the traffic generator cannot be built",
            where=_sources(machine),
            found=found,
            remedy=f"see {work}/meson-logs",
        ) from None
    machine.make_folder(target)
    machine.run(("mv", f"{work}/{NAME}", program))
    machine.remove(work)
    return program


def _sources(machine: Machine) -> str:
    """The folder of the C sources: in the installed package, or in the checkout."""
    package = PurePath(str(importlib.resources.files("ouchi")))
    for folder in (package / "generator", package.parent.parent / "generator"):
        if machine.exists(folder / "meson.build"):
            return str(folder)
    raise Failed.of(
        "the generator's sources are missing", where=str(package / "generator"), remedy="install ouchi again"
    )


def _fingerprint(machine: Machine) -> str:
    """A hash of the sources, and of the DPDK and the processor that they are built for."""
    sources = _sources(machine)
    digest = hashlib.sha256()
    for name in ("meson.build", *(f"src/{name}" for name in machine.entries(f"{sources}/src"))):
        digest.update(name.encode() + b"\0" + machine.read_bytes(f"{sources}/{name}"))
    digest.update(machine.run(("pkg-config", "--modversion", "libdpdk")).stdout.encode())
    digest.update("".join(_CPU_FLAGS.findall(machine.read("/proc/cpuinfo"))[:1]).encode())
    return digest.hexdigest()[:16]
