"""PCI functions: what they are, how they are attached, and with whom they share an IOMMU group."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ouchi.facts.reading import names_in, text_of, whole
from ouchi.machine import Reader

DEVICES = "/sys/bus/pci/devices"
GROUPS = "/sys/kernel/iommu_groups"

NETWORK = 0x02  # base classes of the PCI Code and ID Assignment Specification
BRIDGE = 0x06
INFINIBAND = 0x0207

MOST_MATES = 256
"""Functions listed of one IOMMU group: as many as a PCI bus holds."""

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_HEX = re.compile(r"0x([0-9a-f]{4})")
_CLASS = re.compile(r"0x([0-9a-f]{4})[0-9a-f]{2}")
_SPEED = re.compile(r"([0-9]{1,3}(?:\.[0-9])?) GT/s(?: PCIe)?")
_WIDEST = 32  # lanes; the kernel writes 255 for "unknown"


@dataclass(frozen=True, slots=True)
class PcieLink:
    """A PCI Express link: speed in GT/s for each lane and number of lanes, now and at best; 0 is unknown."""

    speed_gts: float
    width: int
    max_speed_gts: float
    max_width: int

    @property
    def mbps(self) -> float:
        """What it carries now in one direction, in Mbit/s of packets and their headers; 0 is unknown.

        PCI Express encodes 8 bits as 10 up to 5 GT/s, 128 as 130 beyond.
        """
        return self.speed_gts * self.width * 1000 * (0.8 if self.speed_gts <= 5 else 128 / 130)


@dataclass(frozen=True, slots=True)
class PciFunction:
    """One PCI function. All ids are lower-case hexadecimal of four digits, empty when they cannot be read.

    ``node`` is -1 where the firmware does not say. ``pf`` is the physical function a virtual one belongs to.
    ``group_with`` are the other functions of its IOMMU group (-1: in none), bridges left out, and ``group_drivers``
    their drivers. ``direct``: memory ranges of the group that the firmware requires to be mapped one to one (RMRR).
    ``infiniband``: the class is that of InfiniBand, not of Ethernet.
    """

    address: str
    vendor: str
    device: str
    subsystem: str
    driver: str
    node: int
    pcie: PcieLink | None
    vfs_total: int
    vfs_now: int
    pf: str
    iommu_group: int
    group_with: tuple[str, ...]
    group_drivers: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()
    infiniband: bool = False


NOWHERE = PciFunction("", "", "", "", "", -1, None, 0, 0, "", -1, ())
"""What stands for the function of a device that is on no PCI bus."""


class PciBus:
    """The PCI functions of a host, each file of them read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._classes = {
            address: _class(text_of(reader, f"{DEVICES}/{address}/class"))
            for address in names_in(reader, DEVICES)
            if _ADDRESS.fullmatch(address)
        }
        self._direct: dict[int, tuple[str, ...]] = {}
        self._groups: dict[int, tuple[str, ...]] = {}

    def network_functions(self) -> tuple[str, ...]:
        """The addresses of everything that calls itself a network controller."""
        return tuple(address for address, number in self._classes.items() if number >> 8 == NETWORK)

    def function(self, address: str) -> PciFunction:
        """A function by its address; :data:`NOWHERE` when there is none of that address."""
        if address not in self._classes:
            return NOWHERE
        folder = f"{DEVICES}/{address}"
        group = whole(self._reader.link(f"{folder}/iommu_group"), -1)
        mates = tuple(mate for mate in self._group(group) if mate != address)
        return PciFunction(
            address=address,
            vendor=self._id(f"{folder}/vendor"),
            device=self._id(f"{folder}/device"),
            subsystem=self._subsystem(folder),
            driver=self._reader.link(f"{folder}/driver"),
            node=whole(text_of(self._reader, f"{folder}/numa_node"), -1),
            pcie=self._link(folder),
            vfs_total=self._count(f"{folder}/sriov_totalvfs"),
            vfs_now=self._count(f"{folder}/sriov_numvfs"),
            pf=pci_address(self._reader.link(f"{folder}/physfn")),
            iommu_group=group,
            group_with=mates,
            group_drivers=tuple(self._reader.link(f"{DEVICES}/{mate}/driver") for mate in mates),
            direct=self._reserved(group),
            infiniband=self._classes[address] == INFINIBAND,
        )

    def _group(self, number: int) -> tuple[str, ...]:
        if number < 0:
            return ()
        if number not in self._groups:
            mates = names_in(self._reader, f"{GROUPS}/{number}/devices")
            self._groups[number] = tuple(
                mate for mate in mates if _ADDRESS.fullmatch(mate) and self._classes.get(mate, -1) >> 8 != BRIDGE
            )[:MOST_MATES]
        return self._groups[number]

    def _reserved(self, number: int) -> tuple[str, ...]:
        """The ranges of type ``direct``; VFIO accepts ``direct-relaxable``, ``msi`` and the others."""
        if number not in self._direct:
            lines = text_of(self._reader, f"{GROUPS}/{number}/reserved_regions").splitlines() if number >= 0 else []
            ranges = [line.split() for line in lines[:MOST_MATES]]
            self._direct[number] = tuple(
                f"{words[0]}-{words[1]}" for words in ranges if len(words) == 3 and words[2] == "direct"
            )
        return self._direct[number]

    def _link(self, folder: str) -> PcieLink | None:
        link = PcieLink(
            speed_gts=self._speed(f"{folder}/current_link_speed"),
            width=self._lanes(f"{folder}/current_link_width"),
            max_speed_gts=self._speed(f"{folder}/max_link_speed"),
            max_width=self._lanes(f"{folder}/max_link_width"),
        )
        return link if link != PcieLink(0.0, 0, 0.0, 0) else None

    def _id(self, path: str) -> str:
        match = _HEX.fullmatch(text_of(self._reader, path).lower())
        return match[1] if match else ""

    def _subsystem(self, folder: str) -> str:
        vendor, device = self._id(f"{folder}/subsystem_vendor"), self._id(f"{folder}/subsystem_device")
        return f"{vendor}:{device}" if vendor and device else ""

    def _speed(self, path: str) -> float:
        match = _SPEED.fullmatch(text_of(self._reader, path))
        return float(match[1]) if match else 0.0

    def _lanes(self, path: str) -> int:
        lanes = whole(text_of(self._reader, path), 0)
        return lanes if 0 < lanes <= _WIDEST else 0

    def _count(self, path: str) -> int:
        return max(0, whole(text_of(self._reader, path), 0))


def _class(text: str) -> int:
    """The base class and the subclass: 0x0200 is an Ethernet controller."""
    match = _CLASS.fullmatch(text)
    return int(match[1], 16) if match else -1


def pci_address(text: str) -> str:
    """A PCI address as the kernel writes it; empty for any other text."""
    return text if _ADDRESS.fullmatch(text) else ""
