"""A host in few words: what ``host.yaml`` says and :func:`tests.hosts.build` turns into files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Equal cores in a row.

    ``l3`` is the number of their L3 cache in ``Host.l3_kib``, -1 without one; ``l2_cores`` of them share an L2. Their
    core ids begin at ``first_id`` and are ``id_step`` apart. ``kind``: ``performance`` or ``efficient`` on hybrid
    processors, else empty. ``max_khz`` 0: no frequency scaling is visible.
    """

    count: int
    threads: int = 1
    package: int = 0
    die: int = 0
    node: int = 0
    l3: int = 0
    l2_kib: int = 1024
    l2_cores: int = 1
    first_id: int = 0
    id_step: int = 1
    kind: str = ""
    max_khz: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The memory of a NUMA node in KiB: in all, free, and page cache that can be dropped; hugepages by size, free."""

    node: int = 0
    total_kib: int
    free_kib: int
    cached_kib: int = 0
    hugepages: tuple[tuple[int, int], ...] = ((2048, 0), (1048576, 0))
    distances: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """A network interface. ``ports``: what is below a bridge or bond; ``queues``: receive and send."""

    name: str
    mac: str
    up: bool = True
    speed: int = 0
    queues: tuple[int, int] = (1, 1)
    firmware: str = "N/A"
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    ports: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pci:
    """A PCI function. ``parent``: the bridge it is behind; ``link`` and ``link_max``: GT/s and lanes. ``direct``: the firmware
    requires a memory range of it to be mapped one to one (RMRR)."""

    address: str
    id: str
    subsystem: str = "0000:0000"
    kind: int = 0x020000
    parent: str = ""
    driver: str = ""
    node: int = -1
    group: int = -1
    link: tuple[float, int] | None = None
    link_max: tuple[float, int] | None = None
    vfs: int = 0
    vfs_now: int = 0
    pf: str = ""
    virtio: int = -1
    direct: bool = False
    net: Net | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """What cpuinfo says of every CPU alike. ``virtualisation``: ``vmx``, ``svm`` or nothing; ``idle`` C-states."""

    vendor: str
    model: str
    family: int = 6
    number: int = 0
    stepping: int = 0
    virtualisation: str = ""
    mhz: int = 2000
    idle: tuple[tuple[str, int], ...] = ()
    scaling: str = ""
    governor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host. ``numbering`` of CPUs: ``threads last`` (i, i + number of cores), ``adjacent`` (2i, 2i + 1) or
    ``alternating`` (packages take turns, threads last). ``iommu``: ``on``, ``off`` or ``none`` (the firmware has none);
    ``remapped``: interrupts too. ``modules``: loaded ones; ``ddp``: files of Intel's DDP packages (None: not seen).
    ``dpdk``: its release, with the ``drivers`` named or all. ``virtual``: what a virtual machine calls its maker.
    """

    cores: tuple[Cores, ...]
    memory: tuple[Node, ...]
    available_kib: int
    processor: Processor
    l3_kib: tuple[int, ...] = ()
    numbering: str = "threads last"
    offline: tuple[int, ...] = ()
    isolated: str = ""
    pci: tuple[Pci, ...] = ()
    links: tuple[Net, ...] = ()
    iommu: str = "on"
    remapped: bool = True
    modules: tuple[str, ...] = ()
    ddp: tuple[str, ...] | None = None
    hostname: str = "home"
    architecture: str = "x86_64"
    kernel: str = "6.1.0-28-amd64"
    distribution: str = "debian-12"
    parameters: str = "quiet"
    pid1: str = "systemd"
    virtual: str = ""
    vendor: str = ""
    product: str = ""
    kvm: bool = True
    secure_boot: bool | None = False
    lockdown: str = "none"
    dpdk: str = ""
    drivers: tuple[str, ...] = ()
    ovs: str = ""


def load(file: Path) -> Host:
    """The host that a ``host.yaml`` describes. Raises :class:`TypeError` on a word it does not know."""
    return load_plain(YAML(typ="safe", pure=True).load(file.read_text()))


def load_plain(plain: dict[str, Any]) -> Host:
    """The host that plain words describe; they are used up."""
    plain["cores"] = tuple(Cores(**run) for run in plain["cores"])
    plain["memory"] = tuple(_node(node) for node in plain["memory"])
    plain["processor"] = Processor(**_tuples(plain["processor"]))
    plain["pci"] = tuple(_pci(function) for function in plain.get("pci", ()))
    plain["links"] = tuple(Net(**_tuples(link)) for link in plain.get("links", ()))
    return Host(**_tuples(plain))


def _node(plain: dict[str, Any]) -> Node:
    if "hugepages" in plain:
        plain["hugepages"] = tuple(plain["hugepages"].items())
    return Node(**_tuples(plain))


def _pci(plain: dict[str, Any]) -> Pci:
    if "net" in plain:
        plain["net"] = Net(**_tuples(plain["net"]))
    return Pci(**_tuples(plain))


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuple(value) for key, value in plain.items()}


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list | tuple) else value
