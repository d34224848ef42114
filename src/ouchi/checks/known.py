"""Versions that are known to lose packets or to stop the switch, each with where that is written."""

from __future__ import annotations

from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Firmware:
    """The firmware that a DPDK release's driver was tested with, for some cards (vendor:device)."""

    cards: frozenset[str]
    tested: dict[Version, Version]
    source: str


X710 = Firmware(
    # X710, XL710, XXV710 and their backplane and base-T forms (drivers/net/intel/i40e/base/i40e_devids.h).
    cards=frozenset(
        f"8086:{device}"
        for device in ("1572", "1580", "1581", "1583", "1584", "1585", "1586", "1589", "158a", "158b", "15ff")
    ),
    tested={(21, 11): (8, 30), (22, 11): (9, 1), (23, 11): (9, 30), (24, 11): (9, 52), (25, 11): (9, 55)},
    source="doc.dpdk.org/guides/nics/i40e.html, recommended matching list",
)


@dataclass(frozen=True, slots=True)
class Range:
    """Releases of a branch (its first numbers) that have a fault, until the one that mends it."""

    branch: Version
    until: Version


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: of what, in which releases, what it does, and where that is written."""

    claim: str
    ranges: tuple[Range, ...]
    why: str
    source: str

    def in_release(self, version: Version) -> Version | None:
        """The release that mends it, where this one has it; a version without its last number says too little."""
        for one in self.ranges:
            known = len(version) >= len(one.until)
            if known and version[: len(one.branch)] == one.branch and version < one.until:
                return one.until
        return None


VHOST_CHECKSUM = Fault(
    claim="a guest can stop Open vSwitch through this DPDK",
    ranges=(Range((22, 11), (22, 11, 7)), Range((24, 11), (24, 11, 1))),
    why="a packet with forged offsets makes vhost read beyond its end (CVE-2024-11614); a switch that died forwards nothing",
    source="Debian DSA-5833; DPDK 24.11.1 release notes",
)
"""Distributions that mend it without another release number (Ubuntu's 23.11) are left out."""

AF_PACKET_COUNTS = (25, 3)
AF_PACKET_SOURCE = "DPDK 25.03, drivers/net/af_packet: PACKET_STATISTICS are read since"

I40E_FILTERS = Fault(
    claim="this kernel's i40e loses the filters of virtual functions",
    ranges=(
        Range((5, 10), (5, 10, 230)),
        Range((5, 15), (5, 15, 172)),
        Range((6, 1), (6, 1, 117)),
        Range((6, 6), (6, 6, 61)),
    ),
    why="two changes of MAC and VLAN at a time corrupt the list (CVE-2024-53088): a function no longer gets its packets",
    source="CVE-2024-53088 in the kernel's list",
)

VHOST_IOMMU_QEMU = (2, 9, 1)
VHOST_CLIENT_QEMU = (2, 7, 0)
QEMU_SOURCE = "Open vSwitch, Documentation/topics/dpdk/vhost-user.rst"
