"""Whether a NIC may be taken for a role, and why not: the one judgement of inspect, plan, apply and doctor.

Sources: vfio_group_viable, vfio_iommu_type1_attach_group and "Firmware has requested this device have a 1:1 IOMMU mapping"
in the kernel's drivers/vfio and drivers/iommu; DPDK's Linux guide, "VFIO no-IOMMU mode"; DPDK's guides of ice and mlx5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ouchi.core.errors import Finding, Severity, error, info, warning
from ouchi.facts.dpdk.read import FIRMWARE
from ouchi.facts.dpdk.support import USERSPACE, driver_modules, support

if TYPE_CHECKING:
    from ouchi.facts import Facts, Nic

OVS: Final = "ovs-dpdk"
SRIOV: Final = "sriov"

HARMLESS = frozenset(("", "vfio-pci", "pci-stub", "pcieport"))
"""Drivers that leave an IOMMU group to VFIO (vfio_dev_viable in drivers/vfio/vfio_main.c)."""

GROUPS = "/sys/kernel/iommu_groups"

_DDP = re.compile(r"ice(-[0-9a-f]{16})?\.pkg(\.xz)?")
"""The packages that net_ice looks for: by the NIC's serial number, else the common one."""

_DDP_DEBIAN: Final = {"11": "firmware-misc-nonfree", "12": "firmware-misc-nonfree"}
_DDP_LATER: Final = "firmware-intel-misc"
"""Debian's package of intel/ice/ddp/ice.pkg: split off in Debian 13 (Contents of each release, non-free-firmware)."""

Roles = Mapping[str, str]
"""The role of each NIC of the site by PCI address."""


def verdict(facts: Facts, nic: Nic, role: str = OVS, vfs: int = 0, roles: Roles | None = None) -> tuple[Finding, ...]:
    """Everything that keeps this NIC from a role (errors), and what its user should know; none when it is free for it.

    ``vfs``: how many VFs the role ``sriov`` makes. ``roles``: of all NICs of the site, this one included.
    """
    roles = {nic.address: role} if roles is None else roles
    return (
        *uses(facts, nic, role, vfs),
        *_driver(facts, nic, role),
        *vfio(facts, nic, role, roles),
        *files(facts, nic, role),
    )


def uses(facts: Facts, nic: Nic, role: str, vfs: int = 0) -> tuple[Finding, ...]:
    """The part of the verdict that is about what the host, its guests and its users have the NIC or its VFs for."""
    return (*_use(nic, role), *_vfs_in_use(facts, nic, role, vfs))


def vfio(facts: Facts, nic: Nic, role: str, roles: Roles, *, applied: bool = False) -> tuple[Finding, ...]:
    """The part of the verdict that is about VFIO: the IOMMU and the NIC's group; nothing for NICs that it does not drive.

    ``applied``: judge a host as ``apply`` leaves it, where what it would still do is missing.
    """
    if not nic.address or not _by_vfio(facts, nic, role):
        return ()
    return (*_iommu(facts, nic, role, applied=applied), *_group(facts, nic, role, roles, applied=applied))


def files(facts: Facts, nic: Nic, role: str) -> tuple[Finding, ...]:
    """The part that is about what DPDK's driver needs besides itself: firmware and kernel modules."""
    return tuple(_files(facts, nic)) if nic.address and role == OVS else ()


def obstacles(facts: Facts, nic: Nic, role: str = OVS) -> tuple[str, ...]:
    """Return what keeps a NIC from a role, in short; none when it may have it."""
    return tuple(found.claim for found in verdict(facts, nic, role) if found.severity is Severity.ERROR)


def companions(facts: Facts, taken: Sequence[str], roles: Roles) -> tuple[str, ...]:
    """The idle NICs in the IOMMU groups of NICs that VFIO drives, such as the second port of one: it needs whole groups.

    ``taken``: their PCI addresses. A NIC that the site has another role for is none.
    """
    members = {mate for nic in facts.nics if nic.address in taken for mate in nic.group_with}
    idle = {nic.address for nic in facts.nics if not nic.uses and not nic.up and not nic.vfs_now}
    return tuple(sorted((members & idle) - {*taken} - roles.keys()))


def device_mbps(facts: Facts, nic: Nic, known: Mapping[str, int] | None = None) -> int:
    """Return the speed of all ports of a NIC's device together, in Mbit/s; 0 unless one is known.

    ``known``: speeds by PCI address of ports without a kernel driver. Another port of the device is as fast.
    """
    device = nic.address.rpartition(".")[0]
    ports = [one for one in facts.nics if one.address.rpartition(".")[0] == device and not one.pf]
    return max((one.speed_mbps or (known or {}).get(one.address, 0) for one in ports), default=0) * len(ports)


def slow_slot(nic: Nic, mbps: int) -> bool:
    """Whether a NIC's PCIe link is slower than the NIC supports, and than ``mbps`` where that is known."""
    link = nic.pcie
    slower = link is not None and 0 < link.speed_gts * link.width < link.max_speed_gts * link.max_width
    return bool(link and slower and not (mbps and link.mbps >= mbps))


def _name(nic: Nic) -> str:
    return nic.name or nic.address


def _by_vfio(facts: Facts, nic: Nic, role: str) -> bool:
    """Whether vfio-pci is to drive it, or its VFs for guests."""
    found = support(nic, facts.dpdk)
    return role == SRIOV or (role == OVS and bool(found.pmd) and not found.bifurcated)


def _use(nic: Nic, role: str) -> Iterator[Finding]:
    if not nic.uses:
        return
    own = "; VFs of the NIC that carries the host are not made either: some drivers reset it for that"
    yield error(
        f"the NIC {_name(nic)} is in use and would cut this machine off",
        found=f"{_name(nic)} {' and '.join(nic.uses)}",
        expected="a NIC that carries nothing" + (own if role == SRIOV else ""),
    )


def _vfs_in_use(facts: Facts, nic: Nic, role: str, vfs: int) -> Iterator[Finding]:
    """The VFs of a NIC go when its driver does, and when their number changes; a role sets them all anew."""
    made = [vf for vf in facts.nics if nic.address and vf.pf == nic.address]
    if role == OVS and (support(nic, facts.dpdk).bifurcated or not (made or nic.vfs_now)):
        return
    stay = role == SRIOV and vfs in (0, nic.vfs_now)
    used = [
        f"{vf.address}{f' ({vf.name})' if vf.name else ''} {' and '.join(uses)}"
        for vf in made
        if (uses := (*vf.uses, *(() if stay else _held(vf))))
    ]
    found = "; ".join(used[:4]) + (f"; and {len(used) - 4} more" if len(used) > 4 else "")
    if role == OVS:
        yield error(
            f"the NIC {_name(nic)} has VFs{' that are in use' if used else ''}, which go when it is bound to vfio-pci",
            found=found or f"{nic.vfs_now or len(made)} idle VFs",
            expected="a NIC without VFs",
            remedy="move what they carry to another NIC, or role: sriov"
            if used
            else f"echo 0 > /sys/bus/pci/devices/{nic.address}/sriov_numvfs, and what makes them at boot; or role: sriov",
        )
    elif used:
        what = "their settings are changed" if stay else "their number changes, which removes all"
        yield error(
            f"VFs of the NIC {_name(nic)} are in use, and {what}",
            found=found,
            expected="VFs that carry nothing of this host" + ("" if stay else ", and that no guest has"),
            remedy="move what they carry to another NIC"
            + ("" if stay else f", or vfs: {nic.vfs_now}, as there are now"),
        )


def _held(vf: Nic) -> tuple[str, ...]:
    return (f"is bound to {vf.driver}, for a guest or DPDK",) if vf.driver in USERSPACE else ()


def _driver(facts: Facts, nic: Nic, role: str) -> Iterator[Finding]:
    if not nic.address:
        yield error(
            f"DPDK cannot drive the NIC {_name(nic)}",
            found="it has no PCI address" + (f" (driver {nic.driver})" if nic.driver else ""),
            expected="a NIC on a PCI bus",
            remedy="another NIC: ouchi inspect",
        )
    elif nic.infiniband:
        yield error(
            f"the NIC {_name(nic)} is an InfiniBand port",
            found="PCI class 0207",
            expected="an Ethernet controller, class 0200",
            remedy="its port set to Ethernet in its firmware (mlxconfig LINK_TYPE_P1=2), or another NIC",
        )
    elif role == OVS and not (found := support(nic, facts.dpdk)).supported and not found.pmd:
        yield error(
            f"DPDK cannot drive the NIC {_name(nic)}",
            found=f"{nic.vendor}:{nic.device}: {found.reason}",
            expected="a NIC that a driver of the installed DPDK knows",
            remedy="another NIC, or another DPDK; the host's NICs and their drivers: ouchi inspect",
        )


def _iommu(facts: Facts, nic: Nic, role: str, *, applied: bool) -> Iterator[Finding]:
    boot, where = facts.boot, "/sys/class/iommu"
    if not boot.iommu and boot.noiommu and role == OVS:
        yield info(
            f"VFIO drives the NIC {_name(nic)} without an IOMMU",
            where=where,
            found="enable_unsafe_noiommu_mode of the module vfio is on",
            expected="an IOMMU: without one the NIC can write to all memory of this host, and a fault in its driver or "
            "a crafted descriptor reaches the kernel; guests cannot have VFs",
        )
    elif boot.iommu_impossible:
        unsafe = "; or, without protection of memory: vfio.enable_unsafe_noiommu_mode=1 on the kernel command line"
        yield error(
            "there is no IOMMU, which vfio-pci needs",
            where=where,
            found=boot.iommu_reason,
            expected="VT-d, AMD-Vi or IOMMU switched on in the firmware's setup (in a virtual machine: by its host)",
            remedy=f"switch it on, then: ouchi plan{unsafe if role == OVS else ''}",
        )
    elif not boot.iommu:
        yield (error if applied else info)(
            "the IOMMU is off, and vfio-pci needs it",
            where=where,
            found=boot.iommu_reason,
            expected="the IOMMU on, as ouchi's kernel parameters do it where the firmware offers one",
            remedy="ouchi apply",
        )
    elif boot.interrupt_remapping is False and not boot.unsafe_interrupts:
        yield error(
            "interrupts are not remapped, and VFIO refuses NICs without that",
            where="/sys/kernel/irq/*/chip_name",
            found="interrupt controllers without the IOMMU's remapping",
            expected="interrupt remapping: intremap=off and nointremap not on the kernel command line, x2APIC or "
            "interrupt remapping on in the firmware's setup",
            remedy="switch it on; or, where only trusted guests run: vfio_iommu_type1.allow_unsafe_interrupts=1 on the "
            "kernel command line",
        )
    if boot.iommu and nic.direct:
        yield error(
            f"the firmware keeps memory of the NIC {_name(nic)} for itself (RMRR), and VFIO refuses such NICs",
            where=f"{GROUPS}/{nic.iommu_group}/reserved_regions",
            found=", ".join(f"{one} direct" for one in nic.direct[:4]),
            expected="no range of type direct",
            remedy="a firmware setting or update of the server's maker that frees the slot of RMRR, or another NIC",
        )


def _group(facts: Facts, nic: Nic, role: str, roles: Roles, *, applied: bool) -> Iterator[Finding]:
    """Other devices of the IOMMU group that a kernel driver has: VFIO opens whole groups."""
    if not facts.boot.iommu:
        return
    if role == SRIOV:
        yield from _group_of_vfs(facts, nic)
        return
    taken = [other.address for other in facts.nics if roles.get(other.address) == OVS and _by_vfio(facts, other, OVS)]
    free = {*taken, *(() if applied else companions(facts, [*taken, nic.address], roles))}
    busy = _busy(facts, nic, free, roles)
    also_bound = [mate for mate in nic.group_with if mate in free and mate not in roles]
    if also_bound and not busy:
        yield info(
            f"the IOMMU group of the NIC {_name(nic)} has idle NICs, which ouchi apply binds to VFIO too",
            where=f"{GROUPS}/{nic.iommu_group}/devices",
            found=f"group {nic.iommu_group}, with {', '.join(also_bound)}",
            expected="VFIO takes whole groups",
        )
    if busy:
        also = any(roles.get(mate) == SRIOV for mate in nic.group_with)
        yield error(
            f"the IOMMU group of the NIC {_name(nic)} holds something else that is in use",
            where=f"{GROUPS}/{nic.iommu_group}/devices",
            found=f"group {nic.iommu_group}: {', '.join(busy)}",
            expected="a group of the NIC alone: VFIO takes whole groups, and would take these as well",
            remedy=("ouchi apply binds idle NICs too; for the others: " if applied else "")
            + ("one role for both NICs, " if also else "")
            + "the NIC in another slot, ACS switched on in the firmware's setup, or another NIC: ouchi inspect",
        )


def _group_of_vfs(facts: Facts, nic: Nic) -> Iterator[Finding]:
    vfs = [vf for vf in facts.nics if vf.pf == nic.address]
    shared = next((vf for vf in vfs if _busy(facts, vf, {one.address for one in vfs}, {})), None)
    if shared:
        yield error(
            f"VFs of the NIC {_name(nic)} share an IOMMU group with devices that are in use",
            where=f"{GROUPS}/{shared.iommu_group}/devices",
            found=f"{shared.address}, group {shared.iommu_group}: "
            + ", ".join(_busy(facts, shared, {one.address for one in vfs}, {})),
            expected="groups of VFs alone: a guest gets whole groups",
            remedy="the NIC in another slot, or ACS switched on in the firmware's setup",
        )
    elif nic.group_with and not vfs:
        yield warning(
            f"the NIC {_name(nic)} shares its IOMMU group, and its VFs may come into it",
            found=f"group {nic.iommu_group}, with {', '.join(nic.group_with)}",
            expected="a group of the NIC alone (ACS): a guest gets whole groups of VFs",
            remedy="the NIC in another slot, or ACS switched on in the firmware's setup",
        )


def _busy(facts: Facts, nic: Nic, free: set[str], roles: Roles) -> list[str]:
    """The members of a NIC's group, other than the free ones, that a kernel driver has, with what they carry."""
    of = {other.address: other for other in facts.nics if other.address}
    found = []
    for mate, driver in zip(nic.group_with, nic.group_drivers, strict=False):
        if mate in free or driver in HARMLESS:
            continue
        other = of.get(mate)
        use = [f"{_name(other)}: {other.use}"] if other and other.use else [_name(other)] if other else []
        use += ["role sriov"] if roles.get(mate) == SRIOV else []
        what = f" ({', '.join(use)})" if use else ""
        found.append(f"{mate}{what}, driver {driver}")
    return found


def _files(facts: Facts, nic: Nic) -> Iterator[Finding]:
    """What its DPDK driver needs besides itself: a DDP package, RDMA's modules."""
    found, ddp = support(nic, facts.dpdk), facts.dpdk.ddp
    if found.pmd == "net_ice" and ddp is not None:
        readable = [name for name in ddp if _DDP.fullmatch(name)]
        distribution = facts.system.distribution
        package = "linux-firmware" if distribution.id == "ubuntu" else _DDP_DEBIAN.get(distribution.version, _DDP_LATER)
        if not readable:
            folder = f"{FIRMWARE}/intel/ice/ddp"
            packed = bool(ddp) and ddp[0].endswith(".zst")
            yield error(
                f"the DDP package that DPDK loads into the NIC {_name(nic)} is missing",
                where=folder,
                found=", ".join(ddp) or "no package",
                expected="ice.pkg, plain or compressed by xz",
                remedy=f"zstd -dc {folder}/{ddp[0]} > {folder}/ice.pkg" if packed else f"apt-get install {package}",
            )
    missing = [name for name in driver_modules(nic, facts.dpdk) if name not in facts.boot.modules]
    if found.bifurcated and missing:
        yield info(
            f"DPDK's driver of the NIC {_name(nic)} needs kernel modules that are not loaded",
            where="/sys/module",
            found=", ".join(missing),
            expected="loaded: ouchi apply has them loaded at boot",
            remedy=f"modprobe -a {' '.join(missing)}",
        )
