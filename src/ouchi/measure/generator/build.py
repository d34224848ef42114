"""Building the generator on this machine, against the DPDK that its distribution has."""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from pathlib import PurePath

from ouchi.core.errors import Failed, error
from ouchi.core.events import Say
from ouchi.core.instance import Instance
from ouchi.machine import CommandFailed, Machine

PACKAGES = ("gcc", "libc6-dev", "meson", "ninja-build", "pkg-config", "libdpdk-dev", "libjansson-dev")
NAME = "ouchi-generator"

_ABLE = re.compile(r"^(?:flags|Features)\s*:.*$", re.MULTILINE)  # what -march=native goes by


def built(machine: Machine, instance: Instance) -> str:
    """Where the program is that fits its sources and the installed DPDK; it need not be there yet."""
    return f"{instance.cache}/generator/{_fingerprint(machine)}/{NAME}"


def build(machine: Machine, instance: Instance, say: Say) -> str:
    """Build the generator unless it was before; the path of the program.

    Raises :class:`~ouchi.core.errors.Failed` with what the compiler said.
    """
    program = built(machine, instance)
    if machine.exists(program):
        return program
    place = program.rpartition("/")[0]
    work = f"{place}.new"
    machine.remove(work)
    machine.make_folder(work)
    say("compiling")
    try:
        machine.run(("meson", "setup", work, _sources(machine)), timeout=120)
        machine.run(("ninja", "-C", work), timeout=300)
    except CommandFailed as reason:
        found = (reason.result.stdout + reason.result.stderr).strip()[-600:]
        raise Failed(
            error(
                "the traffic generator cannot be built",
                where=_sources(machine),
                found=found,
                remedy=f"see {work}/meson-logs",
            )
        ) from None
    machine.make_folder(place)
    machine.run(("mv", f"{work}/{NAME}", program))
    machine.remove(work)
    return program


def _sources(machine: Machine) -> str:
    """The folder of the C sources: inside the installed package, or beside the checkout's."""
    package = PurePath(str(importlib.resources.files("ouchi")))
    for folder in (package / "generator", package.parent.parent / "generator"):
        if machine.exists(folder / "meson.build"):
            return str(folder)
    raise Failed(
        error("the generator's sources are missing", where=str(package / "generator"), remedy="install ouchi again")
    )


def _fingerprint(machine: Machine) -> str:
    """Of the sources, and of the DPDK and the processor that they are built for."""
    sources = _sources(machine)
    known = hashlib.sha256()
    for name in ("meson.build", *(f"src/{name}" for name in machine.entries(f"{sources}/src"))):
        known.update(name.encode() + b"\0" + machine.read_bytes(f"{sources}/{name}"))
    known.update(machine.run(("pkg-config", "--modversion", "libdpdk")).stdout.encode())
    known.update("".join(_ABLE.findall(machine.read("/proc/cpuinfo"))[:1]).encode())
    return known.hexdigest()[:16]
