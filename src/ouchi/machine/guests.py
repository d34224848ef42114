"""An instance's QEMU processes, found and ended without libvirt."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path as RealPath

from ouchi.core import log
from ouchi.core.instance import Instance
from ouchi.core.log import LOCAL


def kill_guest(pid: int) -> None:
    """Kill a process of :func:`guests_of`. It may have ended already."""
    log.write(LOCAL, "signal", ("SIGKILL", pid, "qemu"))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def guests_of(instance: Instance) -> list[int]:
    """The process IDs of QEMU with a guest disk of this instance; libvirt starts it without the instance's mark."""
    disks = f"{instance.state}/nova/instances/".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                words = RealPath(f"/proc/{name}/cmdline").read_bytes()
                program = os.path.basename(os.readlink(f"/proc/{name}/exe"))
                # A container on this machine may run guests of its own, with the same folders.
                near = os.readlink(f"/proc/{name}/ns/pid") == os.readlink("/proc/self/ns/pid")
                if near and program.startswith("qemu-system-") and disks in words:
                    found.append(int(name))
    return found
