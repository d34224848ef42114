"""A machine's identity, which does not depend on the name or address that it is reached by."""

from __future__ import annotations

import contextlib

from ouchi.machine import Reader

_MACHINE, _BOOT = "/etc/machine-id", "/proc/sys/kernel/random/boot_id"


def identity(machine: Reader) -> str:
    """A text that is different for each machine. Clones share the machine ID, containers their host's boot ID.

    Raises :class:`OSError`.
    """
    known = ""
    with contextlib.suppress(FileNotFoundError):
        known = machine.read(_MACHINE)
    return f"{known.strip()} {machine.read(_BOOT).strip()}"
