"""The guest of a path: DPDK's testpmd in a process of its own, which sends on what it receives."""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.errors import Failed, error
from ouchi.machine import CommandFailed
from ouchi.machine.background import Background
from ouchi.machine.local import LocalMachine

PACKAGE = "dpdk-dev"
"""What testpmd comes with."""
BUFFERS = 16384
"""Packet buffers: several times what two rings of 1024 descriptors hold."""


def start_guest(
    machine: LocalMachine, folder: str, cpus: tuple[int, int], devices: Sequence[str], env: dict[str, str]
) -> Background:
    """testpmd in forward mode ``io`` between two virtual devices, its main thread and its worker on ``cpus``.

    It touches no PCI device. Whether it forwards shows when the path is taught. Raises
    :class:`~ouchi.errors.Failed` when it cannot be started.
    """
    lcores = f"0@{cpus[0]},1@{cpus[1]}"
    argv = ["dpdk-testpmd", "--in-memory", "--single-file-segments", "--no-telemetry", "--no-pci", "--lcores", lcores]
    argv += ["--file-prefix", "ouchi-guest"]
    for device in devices:
        argv += ["--vdev", device]
    argv += ["--", "--forward-mode=io", "--auto-start", f"--total-num-mbufs={BUFFERS}", "--no-mlockall"]
    # Without a terminal testpmd forwards until a signal; with an end of input it would leave at once.
    argv += ["--stats-period=3600"]
    try:
        return machine.start(argv, log=f"{folder}/guest.log", env=env)
    except CommandFailed as reason:
        raise Failed(
            error("the guest does not start", found=str(reason.result.stderr), remedy=f"apt install {PACKAGE}")
        ) from None
