"""Versions of this host that are known for trouble (:mod:`ouchi.checks.known`)."""

from __future__ import annotations

import re

from ouchi.checks import known
from ouchi.checks.known import Version
from ouchi.checks.remedies import UP
from ouchi.checks.values import Answer, Check, holds, judged, unknown, wrong
from ouchi.core.errors import error, info, warning
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.ovs import OURS
from ouchi.plan.nics import OVS, SRIOV
from ouchi.plan.target import Target

_NUMBERS = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")
_STABLE = re.compile(r"Debian ([0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,4})-|Ubuntu \S+ ([0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,4})")


def dpdk(live: Live, target: Target) -> Answer | None:
    """The DPDK inside Open vSwitch, else the installed one."""
    said = live.switch.dpdk_version or target.facts.dpdk.release
    version = numbers(said)
    if not version:
        return None
    if version in {one.branch for one in known.VHOST_CHECKSUM.ranges}:
        return unknown(f"of DPDK {said} the last number is not known: Open vSwitch says it when it runs")
    troubles = []
    if mended := known.VHOST_CHECKSUM.in_release(version):
        troubles.append(
            warning(
                known.VHOST_CHECKSUM.claim,
                where="ovs-vsctl get Open_vSwitch . dpdk_version",
                found=said,
                expected=f"{_text(mended)} or later ({known.VHOST_CHECKSUM.source})",
                # vhost is a package of its own, named by its ABI, and the others ask of it no more than the branch.
                remedy=f"apt-get update; apt-get install --only-upgrade librte-vhost{version[0] + 1}, then: "
                + (UP if live.switch.whose == OURS else "systemctl restart openvswitch-switch"),
                why=known.VHOST_CHECKSUM.why,
            )
        )
    packets = [port.name for port in live.switch.ports if "net_af_packet" in port.options.get("dpdk-devargs", "")]
    if packets and version < known.AF_PACKET_COUNTS:
        troubles.append(
            info(
                f"what is lost at the ports {', '.join(packets[:6])} is counted nowhere",
                where="ovs-vsctl get Interface PORT options:dpdk-devargs",
                found=f"net_af_packet in {said}",
                expected=f"DPDK {_text(known.AF_PACKET_COUNTS)} or later ({known.AF_PACKET_SOURCE})",
                remedy="believe the other end's counters",
                why="its driver does not ask the kernel what the socket's ring dropped",
            )
        )
    return judged(troubles, said)


def kernel(live: Live, target: Target) -> Answer | None:
    """The kernel's drivers of the cards whose virtual functions guests have."""
    cards = {plan.address for plan in target.plan.nics if plan.role == SRIOV}
    driven = [nic for nic in target.facts.nics if nic.address in cards and nic.driver == "i40e"]
    if not driven:
        return None
    version = kernel_version(live.kernel, target.facts.system.kernel)
    if not version:
        return unknown(f"{target.facts.system.kernel} does not say which stable release it is")
    mended = known.I40E_FILTERS.in_release(version)
    if not mended:
        return holds(_text(version))
    return wrong(
        error(
            known.I40E_FILTERS.claim,
            where="/proc/version",
            found=_text(version),
            expected=f"{_text(mended)} or later ({known.I40E_FILTERS.source})",
            remedy="upgrade the kernel's package, then restart the machine",
            why=known.I40E_FILTERS.why,
        )
    )


def firmware(_live: Live, target: Target) -> Answer | None:
    """The firmware of cards that DPDK drives, beside what their driver was tested with."""
    release = numbers(target.facts.dpdk.release)[:2]
    tested = known.X710.tested.get(release)
    cards = {plan.address for plan in target.plan.nics if plan.role == OVS}
    shown = {
        nic: numbers(nic.firmware)[:2]
        for nic in target.facts.nics
        if nic.address in cards and f"{nic.vendor}:{nic.device}" in known.X710.cards and nic.firmware
    }
    if not tested or not shown:
        return None
    troubles = [
        info(
            f"the firmware of the card {nic.name or nic.address} is older than what its driver was tested with",
            where=f"ethtool -i {nic.name}",
            found=nic.firmware,
            expected=f"{_firmware(tested)} with DPDK {_text(release)} ({known.X710.source})",
            remedy="Intel's NVM update utility",
            why="of a pair that nobody tested nobody knows which packets it drops",
        )
        for nic, version in shown.items()
        if version and version < tested
    ]
    return judged(troubles, ", ".join(nic.firmware for nic in shown))


def qemu(live: Live, _wanted: Target) -> Answer | None:
    """The QEMU behind vhost-user ports."""
    if not live.qemu:
        return None
    troubles = []
    iommu = live.switch.other_config.get("vhost-iommu-support") == "true"
    if live.qemu < known.VHOST_CLIENT_QEMU or (iommu and live.qemu < known.VHOST_IOMMU_QEMU):
        least = known.VHOST_IOMMU_QEMU if iommu else known.VHOST_CLIENT_QEMU
        troubles.append(
            error(
                "this QEMU does not get on with Open vSwitch's vhost-user ports",
                where="qemu-system-x86_64 --version",
                found=_text(live.qemu),
                expected=f"{_text(least)} or later ({known.QEMU_SOURCE})",
                remedy="a newer QEMU"
                + (", or: ovs-vsctl remove Open_vSwitch . other_config vhost-iommu-support" if iommu else ""),
                why="its side of the protocol is faulty: a port does not come back after Open vSwitch was restarted",
            )
        )
    return judged(troubles, _text(live.qemu))


CHECKS = (
    Check("versions", "DPDK has no fault that is known here", dpdk, (SWITCH,)),
    Check("versions", "the kernel's drivers have no fault that is known here", kernel, (MACHINE,)),
    Check("versions", "firmware and driver were tested together", firmware, ()),
    Check("versions", "QEMU knows vhost-user", qemu, (MACHINE, SWITCH)),
)


def numbers(text: str) -> Version:
    """The first version in a text: ``DPDK 22.11.11`` → (22, 11, 11); empty without one."""
    match = _NUMBERS.search(text)
    return tuple(int(number) for number in match.groups() if number is not None) if match else ()


def kernel_version(banner: str, release: str) -> Version:
    """The stable release of a kernel: distributions say it in ``/proc/version`` or ``/proc/version_signature`` only."""
    if match := _STABLE.search(banner):
        return numbers(match[1] or match[2])
    # A distribution's name ends its patch level with 0, whatever is in it.
    version = numbers(release)
    return version if version[2:] and (version[2] > 0 or "-" not in release) else ()


def _text(version: Version) -> str:
    if version and version[0] > 20 and len(version) > 1:  # DPDK's: year and month
        return ".".join((str(version[0]), f"{version[1]:02d}", *map(str, version[2:])))
    return ".".join(map(str, version))


def _firmware(version: Version) -> str:
    return f"{version[0]}.{version[1]:02d}"
