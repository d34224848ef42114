"""A guest of a path: DPDK's testpmd, a process that forwards between two ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ouchi.core.errors import Failed
from ouchi.machine import CommandFailed
from ouchi.machine.background import Background, Launcher
from ouchi.plan.mempools import MTU

PACKAGE = "dpdk-dev"
"""The package of testpmd."""
MBUFS = 16384
"""Mbufs: several times what two rings of 1024 descriptors hold."""
MBUF_OVERHEAD = 128 + 26
"""Bytes of an mbuf beyond the MTU: RTE_PKTMBUF_HEADROOM, Ethernet header, checksum, two VLAN tags."""
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""Command prefix: the kernel kills the guest, which busy-polls, when its parent ends."""
MIN_MBUF = 2048 + 128
"""Bytes; testpmd's default."""


def mbuf_bytes(mtu: int) -> int:
    """Bytes of each mbuf: a frame must fit into one."""
    return max(MIN_MBUF, mtu + MBUF_OVERHEAD)


def start_testpmd(
    machine: Launcher,
    folder: str,
    number: int,
    *,
    cpus: tuple[int, int],
    devices: Sequence[str],
    env: Mapping[str, str],
    mtu: int = MTU,
) -> Background:
    """testpmd in forward mode ``io`` between two virtual devices, its main thread and its worker on ``cpus``.

    ``number`` distinguishes guests. No PCI device is probed. Whether it forwards shows in the warm-up. Raises
    :class:`~ouchi.core.errors.Failed` when it cannot be started.
    """
    lcores = f"0@{cpus[0]},1@{cpus[1]}"
    argv = [*DIE_WITH_PARENT, "dpdk-testpmd", "--in-memory", "--single-file-segments", "--no-telemetry", "--no-pci"]
    argv += ["--lcores", lcores, "--file-prefix", f"ouchi-guest{number}"]
    for device in devices:
        argv += ["--vdev", device]
    argv += ["--", "--forward-mode=io", "--auto-start", f"--total-num-mbufs={MBUFS}", "--no-mlockall"]
    if mtu != MTU:
        argv += [f"--mbuf-size={mbuf_bytes(mtu)}", f"--max-pkt-len={mtu + 18}"]
    # With a stats period testpmd forwards until a signal; otherwise it would exit at the end of its input.
    argv += ["--stats-period=3600"]
    try:
        return machine.start(argv, log=f"{folder}/guest{number}.log", env=dict(env))
    except CommandFailed as reason:
        raise Failed.of(
            "the guest does not start", found=str(reason.result.stderr), remedy=f"apt install {PACKAGE}"
        ) from None
