"""Versions that are known to lose packets or to crash Open vSwitch, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

Version = tuple[int, ...]


X710 = frozenset(
    f"8086:{device}"
    for device in ("1572", "1580", "1581", "1583", "1584", "1585", "1586", "1589", "158a", "158b", "15ff")
)
"""X710, XL710, XXV710 and their backplane and base-T forms (drivers/net/intel/i40e/base/i40e_devids.h)."""

X710_FIRMWARE: dict[Version, Version] = {
    (21, 11): (8, 30),
    (22, 11): (9, 1),
    (23, 11): (9, 30),
    (24, 11): (9, 52),
    (25, 11): (9, 55),
}
"""The firmware that each DPDK release's driver was tested with."""

X710_SOURCE = "doc.dpdk.org/guides/nics/i40e.html, recommended matching list"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of some releases, its effect and its source.

    ``fixed``: by branch (the first two numbers of its releases) the first release without the fault.
    """

    claim: str
    fixed: dict[Version, Version]
    why: str
    source: str

    def fixed_in(self, version: Version) -> Version | None:
        """Return the release that fixes the fault of ``version``; None where it has none or lacks its last number."""
        fixed = self.fixed.get(version[:2])
        return fixed if fixed and len(version) >= len(fixed) and version < fixed else None


VHOST_CHECKSUM = Fault(
    claim="a guest can crash Open vSwitch through this DPDK",
    fixed={(22, 11): (22, 11, 7), (24, 11): (24, 11, 1)},
    why="a packet with forged offsets makes vhost read beyond its end (CVE-2024-11614); after a crash nothing is forwarded",
    source="Debian DSA-5833; DPDK 24.11.1 release notes",
)
"""Distributions that fix it without another release number (Ubuntu's 23.11) are left out."""

AF_PACKET_COUNTS = (25, 3)
AF_PACKET_SOURCE = "DPDK 25.03, drivers/net/af_packet: PACKET_STATISTICS are read since"

I40E_FILTERS = Fault(
    claim="this kernel's i40e loses the filters of VFs",
    fixed={(5, 10): (5, 10, 230), (5, 15): (5, 15, 172), (6, 1): (6, 1, 117), (6, 6): (6, 6, 61)},
    why="two changes of MAC and VLAN at a time corrupt the list (CVE-2024-53088): a VF no longer receives its packets",
    source="CVE-2024-53088 in the kernel's list",
)

VHOST_IOMMU_QEMU = (2, 9, 1)
VHOST_CLIENT_QEMU = (2, 7, 0)
QEMU_SOURCE = "Open vSwitch, Documentation/topics/dpdk/vhost-user.rst"
