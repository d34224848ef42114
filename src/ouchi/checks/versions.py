"""Versions on this host that are known for faults (:mod:`ouchi.checks.known`)."""

from __future__ import annotations

import re

from ouchi.checks import known
from ouchi.checks.known import Version
from ouchi.checks.model import Level, Observation, Seen, check, judge, ok, unknown
from ouchi.checks.remedies import UP
from ouchi.core.errors import error, info, warning
from ouchi.facts.verdict import OVS, SRIOV
from ouchi.live import wire
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.ovs import OURS
from ouchi.live.sections import numbers
from ouchi.plan.target import Target

_STABLE = re.compile(r"Debian ([0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,4})-|Ubuntu \S+ ([0-9]{1,2}\.[0-9]{1,3}\.[0-9]{1,4})")


@check("versions.dpdk", Level.LOSS, "DPDK has no known fault", SWITCH)
def dpdk(live: Live, target: Target) -> Observation | None:
    """Look at the version of DPDK in Open vSwitch, else of the installed one."""
    release = live.switch.dpdk_version or target.facts.dpdk.release
    version = numbers(release)
    if not version:
        return None
    if version in known.VHOST_CHECKSUM.fixed:
        return unknown(f"the last number of DPDK {release} is not known: Open vSwitch reports it when it runs")
    problems = []
    if fixed_in := known.VHOST_CHECKSUM.fixed_in(version):
        problems.append(
            warning(
                known.VHOST_CHECKSUM.claim,
                where="ovs-vsctl get Open_vSwitch . dpdk_version",
                found=release,
                expected=f"{_text(fixed_in)} or later ({known.VHOST_CHECKSUM.source})",
                # vhost is a package of its own, named by its ABI; the others depend on no more than the branch.
                remedy=f"apt-get update; apt-get install --only-upgrade librte-vhost{version[0] + 1}, then: "
                + (UP if live.switch.whose == OURS else "systemctl restart openvswitch-switch"),
                why=known.VHOST_CHECKSUM.why,
            )
        )
    # What the endpoints' own lose, the end of `up` counts at their other ends.
    packets = [
        port.name
        for port in live.switch.ports
        if "net_af_packet" in port.options.get("dpdk-devargs", "") and not wire.OURS.fullmatch(port.name)
    ]
    if packets and version < known.AF_PACKET_COUNTS:
        problems.append(
            info(
                f"losses at the ports {', '.join(packets[:6])} are counted nowhere",
                where="ovs-vsctl get Interface PORT options:dpdk-devargs",
                found=f"net_af_packet in {release}",
                expected=f"DPDK {_text(known.AF_PACKET_COUNTS)} or later ({known.AF_PACKET_SOURCE})",
                remedy="use the other end's counters",
                why="its driver does not read the kernel's count of what the socket's ring dropped",
            )
        )
    return judge(problems, release)


@check("versions.kernel", Level.LOSS, "the kernel's NIC drivers have no known fault", MACHINE)
def kernel(live: Live, target: Target) -> Seen | None:
    """Look at the kernel's drivers of the NICs with VFs for guests."""
    addresses = {plan.address for plan in target.plan.nics if plan.role == SRIOV}
    if not any(nic.address in addresses and nic.driver == "i40e" for nic in target.facts.nics):
        return None
    version = kernel_version(live.kernel, target.facts.system.kernel)
    if not version:
        return unknown(f"{target.facts.system.kernel} does not name its stable release")
    fixed_in = known.I40E_FILTERS.fixed_in(version)
    if not fixed_in:
        return ok(_text(version))
    return error(
        known.I40E_FILTERS.claim,
        where="/proc/version",
        found=_text(version),
        expected=f"{_text(fixed_in)} or later ({known.I40E_FILTERS.source})",
        remedy="upgrade the kernel's package, then reboot the host",
        why=known.I40E_FILTERS.why,
    )


@check("versions.nic-firmware", Level.LOSS, "NIC firmware and DPDK driver were tested together")
def nic_firmware(_live: Live, target: Target) -> Observation | None:
    """Compare the firmware of NICs for DPDK with the one that their driver was tested with."""
    release = numbers(target.facts.dpdk.release)[:2]
    tested = known.X710_FIRMWARE.get(release)
    addresses = {plan.address for plan in target.plan.nics if plan.role == OVS}
    versions = {
        nic: numbers(nic.firmware)[:2]
        for nic in target.facts.nics
        if nic.address in addresses and f"{nic.vendor}:{nic.device}" in known.X710 and nic.firmware
    }
    if not tested or not versions:
        return None
    problems = [
        info(
            f"the firmware of the NIC {nic.name or nic.address} is older than the one its driver was tested with",
            where=f"ethtool -i {nic.name}",
            found=nic.firmware,
            expected=f"{tested[0]}.{tested[1]:02d} with DPDK {_text(release)} ({known.X710_SOURCE})",
            remedy="Intel's NVM update utility",
            why="an untested pair of firmware and driver may drop packets",
        )
        for nic, version in versions.items()
        if version and version < tested
    ]
    return judge(problems, ", ".join(nic.firmware for nic in versions))


@check("versions.qemu", Level.LOSS, "QEMU supports vhost-user as Open vSwitch uses it", MACHINE, SWITCH)
def qemu(live: Live, _target: Target) -> Seen | None:
    """Look at the version of QEMU behind vhost-user ports."""
    if not live.qemu:
        return None
    iommu = live.switch.other_config.get("vhost-iommu-support") == "true"
    least = known.VHOST_IOMMU_QEMU if iommu else known.VHOST_CLIENT_QEMU
    if live.qemu >= least:
        return ok(_text(live.qemu))
    return error(
        "this QEMU does not work with Open vSwitch's vhost-user ports",
        where="qemu-system-x86_64 --version",
        found=_text(live.qemu),
        expected=f"{_text(least)} or later ({known.QEMU_SOURCE})",
        remedy="a newer QEMU"
        + (", or: ovs-vsctl remove Open_vSwitch . other_config vhost-iommu-support" if iommu else ""),
        why="its implementation is faulty: a port does not reconnect after Open vSwitch was restarted",
    )


def kernel_version(banner: str, release: str) -> Version:
    """Return the stable release of a kernel: distributions name it in ``/proc/version`` or ``version_signature`` only."""
    if match := _STABLE.search(banner):
        return numbers(match[1] or match[2])
    # In a distribution's release name the last number is always 0.
    version = numbers(release)
    return version if version[2:] and (version[2] > 0 or "-" not in release) else ()


def _text(version: Version) -> str:
    if version and version[0] > 20 and len(version) > 1:  # DPDK's: year and month
        return ".".join((str(version[0]), f"{version[1]:02d}", *map(str, version[2:])))
    return ".".join(map(str, version))
