"""The rig's hardware, as options of QEMU.

Twelve CPUs, six cores of two threads in two groups with an L3 cache each, as in a Ryzen 5 3600; 6 GiB; an IOMMU; a
virtio NIC for management; two NICs with SR-IOV, connected to each other; and two old NICs behind one PCI bridge, which
are in one IOMMU group. With two NUMA nodes each group is one, there are 8 GiB, the first NIC is on node 1, and the second
on node 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

MACHINE = "q35,hpet=off,i8042=off,sata=off,smbus=off,vmport=off,smp-cache.0.cache=l3,smp-cache.0.topology=die"
"""Without the HPET, with which one cold boot in six hung; the other devices would only take time to probe."""

ABSENT = (
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512f",
    "avx512vl",
    "invpcid",
    "pcid",
    "spec-ctrl",
    "tsc-deadline",
    "xsavec",
)
"""CPU features of this model that emulation lacks: off under KVM too, so that the rig is the same everywhere."""

CPU = ",".join(
    # Beyond leaf 0xd QEMU 10 aborts with two dies.
    ("Skylake-Server-v4", "level=0xd", "model-id=AMD Ryzen 5 3600 lookalike", *(f"{name}=off" for name in ABSENT))
)
SMP = "12,sockets=1,dies=2,cores=3,threads=2"
MEMORY = "6G"
BUSES = (0x40, 0x80)
"""The first PCI bus of each NUMA node: the NICs are 0000:41:00.0 and 0000:81:00.0."""
IOMMU = "intel-iommu,intremap=on,caching-mode=on,aw-bits=48"

MANAGEMENT_MAC = "52:54:00:00:00:01"
PORT_MACS = ("52:54:00:00:01:00", "52:54:00:00:02:00")
SHARED_MACS = ("52:54:00:00:03:00", "52:54:00:00:04:00")

ACCELERATORS = {
    "kvm": ("kvm", ",kernel-irqchip=split"),  # needed for interrupt remapping
    "single": ("tcg,thread=single", ""),
    "multi": ("tcg,thread=multi", ""),
}
"""QEMU's ``-accel`` and additions to ``-machine``. ``single`` emulates all CPUs in one thread and boots reliably;
``multi`` has a thread per CPU and is faster once booted. Each loads the states that the other saved."""


class Shape(StrEnum):
    """The NUMA nodes of a rig: one; two with half the memory each; two of which node 0 has no memory."""

    ONE_NODE = "one node"
    TWO_NODES = "two nodes"
    MEMORYLESS = "two nodes, node 0 without memory"


NODES: dict[Shape, tuple[int, ...]] = {Shape.ONE_NODE: (), Shape.TWO_NODES: (4, 4), Shape.MEMORYLESS: (0, 8)}
"""The memory of each node in GiB; none where QEMU shows no nodes."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a running rig's QEMU."""

    folder: PurePath

    @property
    def disk(self) -> PurePath:
        """The disk, a layer over the image, with the saved states."""
        return self.folder / "disk.qcow2"

    @property
    def console(self) -> PurePath:
        """The output of the serial console since QEMU was started."""
        return self.folder / "console.log"

    @property
    def log(self) -> PurePath:
        """QEMU's own output."""
        return self.folder / "qemu.log"

    @property
    def monitor(self) -> PurePath:
        """QEMU's control socket for the process that runs the rig."""
        return self.folder / "monitor"

    @property
    def commands(self) -> PurePath:
        """QEMU's control socket for the commands of ``ouchi rig``."""
        return self.folder / "commands"


def qemu_arguments(
    files: Files, accelerator: str, port: int, load: str = "", shape: Shape = Shape.ONE_NODE
) -> list[str]:
    """QEMU's options for the rig, with its sshd on 127.0.0.1:``port``, and perhaps a saved state to ``load``.

    A reset of the guest ends QEMU; the process that runs the rig then boots it again.
    """
    acceleration, added = ACCELERATORS[accelerator]
    options = [
        *("-no-reboot", "-machine", MACHINE + added, "-accel", acceleration),
        *("-cpu", CPU, "-smp", SMP, *_memory(NODES[shape])),
        *("-device", IOMMU, "-device", "virtio-rng-pci", "-serial", f"file:{files.console}"),
        *(word for socket in (files.monitor, files.commands) for word in ("-qmp", f"unix:{socket},server=on,wait=off")),
        *("-drive", f"file={_escaped(files.disk)},format=qcow2,if=none,id=disk,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk,bootindex=1"),
        *("-netdev", f"user,id=management,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", f"virtio-net-pci,netdev=management,mac={MANAGEMENT_MAC},romfile="),
    ]
    root = ["pcie.0"] * 2
    for node, _ in enumerate(NODES[shape]):
        root[1 - node] = f"node{node}"  # the first NIC is on node 1
        options += ["-device", f"pxb-pcie,id=node{node},bus=pcie.0,bus_nr={BUSES[node]},numa_node={node}"]
    for number, mac in enumerate(PORT_MACS, 1):
        options += ["-netdev", f"hubport,id=wire{number},hubid=1"]
        options += ["-device", f"pcie-root-port,id=slot{number},chassis={number},bus={root[number - 1]}"]
        options += ["-device", f"igb,bus=slot{number},netdev=wire{number},mac={mac},romfile="]
    options += [
        "-device",
        "pcie-root-port,id=slot3,chassis=3,bus=pcie.0",
        "-device",
        "pcie-pci-bridge,id=shared,bus=slot3",
    ]
    for number, mac in enumerate(SHARED_MACS, 1):
        options += ["-device", f"e1000,bus=shared,addr={number},mac={mac},romfile="]
    return [*options, "-loadvm", load] if load else options


def _memory(nodes: tuple[int, ...]) -> list[str]:
    """The memory, and the NUMA nodes, each with one die's CPUs."""
    if not nodes:
        return ["-m", MEMORY]
    options = ["-m", f"{sum(nodes)}G"]
    for node, gib in enumerate(nodes):
        backend = f",memdev=ram{node}" if gib else ""
        options += ["-object", f"memory-backend-ram,id=ram{node},size={gib}G"] if gib else []
        options += ["-numa", f"node,nodeid={node}{backend}"]
        options += ["-numa", f"cpu,node-id={node},socket-id=0,die-id={node}"]
    return options


def _escaped(path: PurePath) -> str:
    """A path inside QEMU's comma-separated options."""
    return str(path).replace(",", ",,")
