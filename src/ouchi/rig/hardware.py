"""The rig's hardware, as QEMU's words.

Twelve CPUs, six cores of two threads in two groups with an L3 cache each, as in a Ryzen 5 3600; 6 GiB; an IOMMU; a
virtio NIC for management; two ports with SR-IOV on a wire between them; and two old cards behind one bridge, which
the IOMMU cannot tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

MACHINE = "q35,hpet=off,smp-cache.0.cache=l3,smp-cache.0.topology=die"
"""Without the HPET: with it one cold boot in six hung."""

ABSENT = (
    "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl", "invpcid", "pcid", "spec-ctrl", "tsc-deadline", "xsavec",
)  # fmt: skip
"""What this model has and emulation has not: off everywhere, so that the rig is the same machine everywhere."""

CPU = ",".join(
    # Beyond leaf 0xd QEMU 10 aborts with two dies.
    ("Skylake-Server-v4", "level=0xd", "model-id=AMD Ryzen 5 3600 lookalike", *(f"{name}=off" for name in ABSENT))
)
SMP = "12,sockets=1,dies=2,cores=3,threads=2"
MEMORY = "6G"
IOMMU = "intel-iommu,intremap=on,caching-mode=on,aw-bits=48"

MANAGEMENT_MAC = "52:54:00:00:00:01"
PORT_MACS = ("52:54:00:00:01:00", "52:54:00:00:02:00")
SHARED_MACS = ("52:54:00:00:03:00", "52:54:00:00:04:00")

ACCELERATORS = {
    "kvm": ("kvm", ",kernel-irqchip=split"),  # what interrupt remapping asks for
    "single": ("tcg,thread=single", ""),
    "multi": ("tcg,thread=multi", ""),
}
"""How CPUs run, and what that adds to the machine. ``single`` emulates them in turn and boots dependably; ``multi``
emulates them side by side and is quicker once booted. What the one saved the other loads."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a running rig keeps what belongs to its QEMU."""

    folder: PurePath

    @property
    def disk(self) -> PurePath:
        """What differs from the image, and the saved states."""
        return self.folder / "disk.qcow2"

    @property
    def console(self) -> PurePath:
        """What the serial console said since QEMU was started."""
        return self.folder / "console.log"

    @property
    def log(self) -> PurePath:
        """What QEMU itself said."""
        return self.folder / "qemu.log"

    @property
    def monitor(self) -> PurePath:
        """QEMU's control socket for whoever runs the rig."""
        return self.folder / "monitor"

    @property
    def door(self) -> PurePath:
        """QEMU's control socket for commands that come and go."""
        return self.folder / "door"


def qemu_words(files: Files, accelerator: str, port: int, load: str = "") -> list[str]:
    """The rig as options of QEMU: ssh on 127.0.0.1:``port``, and perhaps a saved state to ``load``.

    A reset of the guest ends QEMU, so that whoever runs the rig boots it in the way that works.
    """
    acceleration, added = ACCELERATORS[accelerator]
    words = [
        "-no-reboot", "-machine", MACHINE + added, "-accel", acceleration, "-cpu", CPU, "-smp", SMP, "-m", MEMORY,
        "-device", IOMMU, "-device", "virtio-rng-pci", "-serial", f"file:{files.console}",
        "-qmp", f"unix:{files.monitor},server=on,wait=off", "-qmp", f"unix:{files.door},server=on,wait=off",
        "-drive", f"file={_escaped(files.disk)},format=qcow2,if=none,id=disk,discard=unmap",
        "-device", "virtio-blk-pci,drive=disk,bootindex=1",
        "-netdev", f"user,id=management,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", f"virtio-net-pci,netdev=management,mac={MANAGEMENT_MAC},romfile=",
    ]  # fmt: skip
    for number, mac in enumerate(PORT_MACS, 1):
        words += [
            "-netdev", f"hubport,id=wire{number},hubid=1", "-device", f"pcie-root-port,id=slot{number},chassis={number}",
            "-device", f"igb,bus=slot{number},netdev=wire{number},mac={mac},romfile=",
        ]  # fmt: skip
    words += ["-device", "pcie-root-port,id=slot3,chassis=3", "-device", "pcie-pci-bridge,id=shared,bus=slot3"]
    for number, mac in enumerate(SHARED_MACS, 1):
        words += ["-device", f"e1000,bus=shared,addr={number},mac={mac},romfile="]
    return [*words, "-loadvm", load] if load else words


def _escaped(path: PurePath) -> str:
    """A path inside QEMU's comma-separated options."""
    return str(path).replace(",", ",,")
