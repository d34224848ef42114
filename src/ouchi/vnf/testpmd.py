"""A guest of a path: DPDK's testpmd in a process of its own, which sends on what it receives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ouchi.core.errors import Failed, error
from ouchi.machine import CommandFailed
from ouchi.machine.background import Background, Launcher
from ouchi.plan.mempools import MTU

PACKAGE = "dpdk-dev"
"""What testpmd comes with."""
BUFFERS = 16384
"""Packet buffers: several times what two rings of 1024 descriptors hold."""
BUFFER_ROOM = 128 + 26
"""Bytes of a buffer beyond the MTU: RTE_PKTMBUF_HEADROOM, Ethernet header, checksum, two VLAN tags."""
TIED = ("setpriv", "--pdeathsig", "KILL")
"""The words that have a guest, which would poll its CPU for ever, end when whoever started it does."""
LEAST_BUFFER = 2048 + 128
"""Bytes; testpmd's own default."""


def buffer_bytes(mtu: int) -> int:
    """The bytes of each packet buffer of a guest: a frame must fit into one."""
    return max(LEAST_BUFFER, mtu + BUFFER_ROOM)


def start_guest(
    machine: Launcher,
    folder: str,
    number: int,
    cpus: tuple[int, int],
    devices: Sequence[str],
    env: Mapping[str, str],
    *,
    mtu: int = MTU,
) -> Background:
    """testpmd in forward mode ``io`` between two virtual devices, its main thread and its worker on ``cpus``.

    ``number`` tells guests apart. It touches no PCI device. Whether it forwards shows when the path is taught. Raises
    :class:`~ouchi.core.errors.Failed` when it cannot be started.
    """
    lcores = f"0@{cpus[0]},1@{cpus[1]}"
    argv = [
        *TIED,
        "dpdk-testpmd",
        "--in-memory",
        "--single-file-segments",
        "--no-telemetry",
        "--no-pci",
        "--lcores",
        lcores,
    ]
    argv += ["--file-prefix", f"ouchi-guest{number}"]
    for device in devices:
        argv += ["--vdev", device]
    argv += ["--", "--forward-mode=io", "--auto-start", f"--total-num-mbufs={BUFFERS}", "--no-mlockall"]
    if mtu != MTU:
        argv += [f"--mbuf-size={buffer_bytes(mtu)}", f"--max-pkt-len={mtu + 18}"]
    # Without a terminal testpmd forwards until a signal; with an end of input it would leave at once.
    argv += ["--stats-period=3600"]
    try:
        return machine.start(argv, log=f"{folder}/guest{number}.log", env=dict(env))
    except CommandFailed as reason:
        raise Failed(
            error("the guest does not start", found=str(reason.result.stderr), remedy=f"apt install {PACKAGE}")
        ) from None
