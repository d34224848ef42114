"""Versions that are known to lose packets or to crash Open vSwitch, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Firmware:
    """The firmware that each DPDK release's driver was tested with, for some NICs (vendor:device)."""

    nics: frozenset[str]
    tested: dict[Version, Version]
    source: str


X710 = Firmware(
    # X710, XL710, XXV710 and their backplane and base-T forms (drivers/net/intel/i40e/base/i40e_devids.h).
    nics=frozenset(
        f"8086:{device}"
        for device in ("1572", "1580", "1581", "1583", "1584", "1585", "1586", "1589", "158a", "158b", "15ff")
    ),
    tested={(21, 11): (8, 30), (22, 11): (9, 1), (23, 11): (9, 30), (24, 11): (9, 52), (25, 11): (9, 55)},
    source="doc.dpdk.org/guides/nics/i40e.html, recommended matching list",
)


@dataclass(frozen=True, slots=True)
class Range:
    """The releases of a branch (its first numbers) with a fault, before the first release without it."""

    branch: Version
    fixed_in: Version


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of some releases, its effect and its source."""

    claim: str
    ranges: tuple[Range, ...]
    why: str
    source: str

    def fixed_in(self, version: Version) -> Version | None:
        """Return the release that fixes the fault of ``version``; None where it has none or lacks its last number."""
        for one in self.ranges:
            complete = len(version) >= len(one.fixed_in)
            if complete and version[: len(one.branch)] == one.branch and version < one.fixed_in:
                return one.fixed_in
        return None


VHOST_CHECKSUM = Fault(
    claim="a guest can crash Open vSwitch through this DPDK",
    ranges=(Range((22, 11), (22, 11, 7)), Range((24, 11), (24, 11, 1))),
    why="a packet with forged offsets makes vhost read beyond its end (CVE-2024-11614); after a crash nothing is forwarded",
    source="Debian DSA-5833; DPDK 24.11.1 release notes",
)
"""Distributions that fix it without another release number (Ubuntu's 23.11) are left out."""

AF_PACKET_COUNTS = (25, 3)
AF_PACKET_SOURCE = "DPDK 25.03, drivers/net/af_packet: PACKET_STATISTICS are read since"

I40E_FILTERS = Fault(
    claim="this kernel's i40e loses the filters of VFs",
    ranges=(
        Range((5, 10), (5, 10, 230)),
        Range((5, 15), (5, 15, 172)),
        Range((6, 1), (6, 1, 117)),
        Range((6, 6), (6, 6, 61)),
    ),
    why="two changes of MAC and VLAN at a time corrupt the list (CVE-2024-53088): a VF no longer receives its packets",
    source="CVE-2024-53088 in the kernel's list",
)

VHOST_IOMMU_QEMU = (2, 9, 1)
VHOST_CLIENT_QEMU = (2, 7, 0)
QEMU_SOURCE = "Open vSwitch, Documentation/topics/dpdk/vhost-user.rst"
