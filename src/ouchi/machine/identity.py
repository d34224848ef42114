"""Which machine one is, by whatever name and way it is reached."""

from __future__ import annotations

import contextlib

from ouchi.machine import Reader

_MACHINE, _BOOT = "/etc/machine-id", "/proc/sys/kernel/random/boot_id"


def identity(machine: Reader) -> str:
    """Words that two machines do not share. Clones have the same id; containers have their host's boot id.

    Raises :class:`OSError`.
    """
    known = ""
    with contextlib.suppress(FileNotFoundError):
        known = machine.read(_MACHINE)
    return f"{known.strip()} {machine.read(_BOOT).strip()}"
