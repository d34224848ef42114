"""The NICs of the plan: bound as planned, alone in their IOMMU group, and in no network configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ouchi.checks.model import Level, Observation, Seen, check, judge
from ouchi.checks.remedies import APPLY, APPLY_REBOOT
from ouchi.core.errors import Finding, Severity, error, info, warning
from ouchi.facts import Nic, verdict
from ouchi.facts.verdict import HARMLESS, OVS, SRIOV
from ouchi.live.host import MACHINE, Live
from ouchi.plan import NicPlan
from ouchi.plan.target import Target

DEVICES = "/sys/bus/pci/devices"
_ADDRESS = re.compile(r"0000:([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")
_GBPS = re.compile(r"([0-9]{1,4})Gbps")
"""``link_speed`` of a port's status, as lib/netdev-dpdk.c writes it."""

UNBOUND = "DPDK cannot use a NIC that has a kernel driver: nothing is sent or received there"


@check("nics.driver", Level.PLACED, "NICs have their planned driver", MACHINE)
def driver(live: Live, target: Target) -> Observation | None:
    """Compare each NIC's driver with the plan, now and after a reboot."""
    nics = list(_nics(target, OVS))
    if not nics:
        return None
    problems = []
    for plan, nic in nics:
        found = live.drivers.get(plan.address, nic.driver)
        if found != plan.dpdk.kmod and plan.dpdk.kmod:
            problems.append(
                error(
                    f"the NIC {_name(plan)} is not bound to {plan.dpdk.kmod}",
                    where=f"{DEVICES}/{plan.address}/driver",
                    found=found or "no driver",
                    expected=plan.dpdk.kmod,
                    remedy=APPLY,
                    why=UNBOUND,
                )
            )
        elif not plan.dpdk.bifurcated and live.overrides.get(plan.address) != plan.dpdk.kmod:
            problems.append(
                warning(
                    f"the NIC {_name(plan)} is bound to {plan.dpdk.kmod} until the next reboot only",
                    where=f"/etc/driverctl.d/pci-{plan.address}",
                    found=live.overrides.get(plan.address, "no such file"),
                    expected=plan.dpdk.kmod,
                    remedy=f"driverctl set-override {plan.address} {plan.dpdk.kmod}",
                    why=UNBOUND,
                )
            )
    return judge(problems, ", ".join(_name(plan) for plan, _ in nics))


@check("nics.use", Level.LOSS, "NICs of the plan are in no other use", MACHINE)
def use(_live: Live, target: Target) -> Observation | None:
    """Look for NICs that carry something of the host, or whose VFs do, by the verdict that ``plan`` and ``apply`` go by."""
    nics = [*_nics(target, OVS), *_nics(target, SRIOV)]
    if not nics:
        return None
    problems = [
        replace(
            one,
            where=one.where or f"{DEVICES}/{nic.address}",
            remedy=one.remedy or f"move it to another NIC, then: {APPLY}; or another NIC in your site file",
            why="apply changes nothing here as long as it is: what the plan has the NIC for does not work, or not after "
            "a reboot",
        )
        for plan, nic in nics
        for one in verdict.uses(target.facts, nic, plan.role, len(plan.vfs))
    ]
    return judge(problems, ", ".join(_name(plan) for plan, _ in nics))


@check("nics.iommu-group", Level.LOSS, "NICs' IOMMU groups are viable for VFIO", MACHINE)
def iommu_group(live: Live, target: Target) -> Seen | None:
    """Look for kernel drivers in the IOMMU groups of NICs for VFIO."""
    nics = [(plan, nic) for plan, nic in _nics(target, OVS) if not plan.dpdk.bifurcated]
    if not nics:
        return None
    problems = [_ungrouped(plan) for plan, nic in nics if target.facts.boot.iommu and nic.iommu_group < 0]
    for _, nic in nics:
        drivers = tuple(live.drivers.get(other, "") for other in nic.group_with)
        problems += verdict.vfio(target.facts, replace(nic, group_drivers=drivers), OVS, target.roles, applied=True)
    return judge(
        [replace(one, why=one.why or UNBOUND) for one in dict.fromkeys(problems)], "no kernel driver in their groups"
    )


@check("nics.driver-files", Level.LOSS, "what the NICs' DPDK drivers load is there")
def driver_files(_live: Live, target: Target) -> Observation | None:
    """Look for firmware packages and kernel modules that DPDK's drivers of the NICs need."""
    nics = list(_nics(target, OVS))
    problems = [
        replace(one, severity=Severity.ERROR, why="DPDK's driver refuses the NIC: the port cannot be created")
        for _, nic in nics
        for one in verdict.files(target.facts, nic, OVS)
    ]
    return judge(problems, ", ".join(_name(plan) for plan, _ in nics)) if nics else None


@check("nics.vfs", Level.LOSS, "VFs are as planned", MACHINE)
def vfs(live: Live, target: Target) -> Observation | None:
    """Compare number and settings of VFs with the plan, and look for spoof checking where servers forward."""
    nics = list(_nics(target, SRIOV))
    if not nics:
        return None
    problems = []
    for plan, nic in nics:
        created = len(live.vf_addresses.get(plan.address, ())) or nic.vfs_now
        if created < len(plan.vfs):
            problems.append(
                error(
                    f"the NIC {_name(plan)} has fewer VFs than planned",
                    where=f"{DEVICES}/{plan.address}/sriov_numvfs",
                    found=f"{created}",
                    expected=f"{len(plan.vfs)}",
                    remedy=APPLY,
                    why="a server that gets no VF does not start",
                )
            )
        problems += _vf_settings(live, plan)
        if _forwards(target, plan.physnet):
            problems += _spoof_check(live, plan)
    return judge(problems, ", ".join(f"{_name(plan)}: {len(plan.vfs)}" for plan, _ in nics))


@check("nics.pcie-link", Level.LOSS, "NICs' PCIe links carry their ports' speed")
def pcie_link(live: Live, target: Target) -> Observation | None:
    """Compare each NIC's PCIe link with the speeds of all ports of its device together.

    Where a speed is not known, as of a NIC with vfio-pci, the link is compared with the fastest that the NIC supports,
    and a slower one is a remark.
    """
    nics = [*_nics(target, OVS), *_nics(target, SRIOV)]
    if not nics:
        return None
    problems = []
    for plan, nic in nics:
        link, speed = nic.pcie, verdict.device_mbps(target.facts, nic, _speeds_in_ovs(live))
        if not link or not verdict.slow_slot(nic, speed):
            continue
        problems.append(
            (warning if speed else info)(
                f"the PCIe link of the NIC {_name(plan)} is below what "
                + ("its ports receive" if speed else "the NIC supports"),
                where=f"{DEVICES}/{plan.address}/current_link_speed",
                found=f"{link.speed_gts:g} GT/s x{link.width}, {link.mbps / 1000:.1f} Gbit/s"
                + (f"; its ports together {speed / 1000:g} Gbit/s" if speed else ""),
                expected=f"{link.max_speed_gts:g} GT/s x{link.max_width}",
                remedy="another slot; a NIC that is seated badly has a narrower link as well",
                why="what the slot cannot carry waits in the NIC and is dropped there while the PMD thread is idle; large "
                "frames first",
            )
        )
    return judge(problems, "enough for their ports, or the fastest that the NICs support")


@check("nics.network-configuration", Level.LOSS, "no network configuration names the NICs", MACHINE)
def network_configuration(live: Live, target: Target) -> Observation | None:
    """Look for configuration files that would take a NIC from DPDK after a reboot."""
    nics = list(_nics(target, OVS))
    if not nics:
        return None
    problems = []
    for plan, nic in nics:
        names = {word for word in (plan.name.lower(), nic.mac.lower(), *likely_names(nic)) if word}
        files = [path for path, words in live.networking.items() if names & words]
        if files and not plan.dpdk.bifurcated:
            problems.append(
                warning(
                    f"the NIC {_name(plan)} is for DPDK, but the network configuration names it too",
                    where=files[0],
                    found=", ".join(sorted(names & live.networking[files[0]]))
                    + (f"; also in {', '.join(files[1:4])}" if files[1:] else ""),
                    expected="no file that names it",
                    remedy=f"remove {_name(plan)} from {files[0]}",
                    why="after a reboot the NIC gets its kernel driver and an address: the port in Open vSwitch fails "
                    "then",
                )
            )
    # Only root may read netplan's and NetworkManager's files.
    return judge(problems, "no file names them" if live.root else "no file that you may read names them")


@check("nics.link", Level.LOSS, "NICs with a kernel driver have a link")
def link(_live: Live, target: Target) -> Observation | None:
    """Look at ``operstate`` of NICs with a kernel driver; ``ovs.ports`` covers the others."""
    nics = [
        (plan, nic)
        for plan, nic in [*_nics(target, OVS), *_nics(target, SRIOV)]
        if nic.name and nic.driver not in HARMLESS
    ]
    if not nics:
        return None
    problems = [
        info(
            f"the NIC {_name(plan)} has no link",
            where=f"/sys/class/net/{nic.name}/operstate",
            found="down",
            expected="up",
            remedy=f"ip link set {nic.name} up; the cable, and the other end",
            why="nothing is sent or received there",
        )
        for plan, nic in nics
        if not nic.up
    ]
    return judge(problems, ", ".join(nic.name for _, nic in nics))


def _speeds_in_ovs(live: Live) -> dict[str, int]:
    """Return the speeds in Mbit/s of NICs for DPDK by PCI address, as Open vSwitch has them (``link_speed``)."""
    return {
        port.options.get("dpdk-devargs", "").partition(",")[0]: int(match[1]) * 1000
        for port in live.switch.ports
        if (match := _GBPS.fullmatch(port.status.get("link_speed", "")))
    }


def likely_names(nic: Nic) -> tuple[str, ...]:
    """Return the names that systemd gives a NIC by its PCI address (systemd.net-naming-scheme(7)), in lower case.

    A NIC with vfio-pci shows no name. Names by the number of a slot or of the mainboard cannot be derived.
    """
    match = _ADDRESS.fullmatch(nic.address)
    if nic.name or not match:
        return (nic.name.lower(),)
    bus, slot, function = (int(number, 16) for number in match.groups())
    whole = (f"enp{bus}s{slot}",) if function == 0 else ()
    return (f"enp{bus}s{slot}f{function}", f"enp{bus}s{slot}f{function}np{function}", *whole)


def vlan_of(vf: Mapping[str, object]) -> int:
    """Return the VLAN of a VF, 0 for none."""
    listed = vf.get("vlan_list")
    first = listed[0] if isinstance(listed, list) and listed else {}
    number = first.get("vlan") if isinstance(first, dict) else 0
    return number if isinstance(number, int) else 0


def _nics(target: Target, role: str) -> Iterator[tuple[NicPlan, Nic]]:
    """Yield the plan's NICs of a role, each with its facts."""
    for plan in target.plan.nics:
        nic = next((nic for nic in target.facts.nics if nic.address == plan.address), None)
        if plan.role == role and nic:
            yield plan, nic


def _name(plan: NicPlan) -> str:
    return plan.name or plan.address


def _ungrouped(plan: NicPlan) -> Finding:
    return error(
        f"the NIC {_name(plan)} is in no IOMMU group",
        where=f"{DEVICES}/{plan.address}/iommu_group",
        found="no such link",
        expected="a group",
        remedy=APPLY_REBOOT,
        why=UNBOUND,
    )


def _forwards(target: Target, physnet: str) -> bool:
    """Return whether a server on a physnet forwards packets of others."""
    networks = {network.name for network in target.site.networks if network.physnet == physnet}
    return any(
        server.forwards and any(port.network in networks for port in server.ports) for server in target.site.servers
    )


def _vf_settings(live: Live, plan: NicPlan) -> Iterator[Finding]:
    """Find VFs with other settings than planned. Where the plan has no VLAN, nova sets it."""
    found = []
    for number, (vf, expected) in enumerate(zip(live.vfs.get(plan.name, ()), plan.vfs, strict=False)):
        settings = {"trust": ("trust", expected.trust), "spoofchk": ("spoof check", expected.spoof_check)}
        # A driver does not report settings that it does not support.
        differing = [
            f"{name} {'on' if vf[key] else 'off'}"
            for key, (name, value) in settings.items()
            if key in vf and vf[key] != value
        ]
        if expected.vlan and (vlan := vlan_of(vf)) != expected.vlan:
            differing.append(f"VLAN {vlan or 'none'}")
        if differing:
            found.append(f"{number}: {', '.join(differing)}")
    if not found:
        return
    first = plan.vfs[0]
    yield warning(
        f"VFs of the NIC {_name(plan)} have other settings than planned",
        where=f"ip link show {plan.name}",
        found="; ".join(found[:8]),
        expected=f"trust {'on' if first.trust else 'off'}, spoof check {'on' if first.spoof_check else 'off'}"
        + (f", VLAN {first.vlan}" if first.vlan else ""),
        remedy=APPLY,
        why="frames with another MAC address or VLAN are dropped in the NIC, and only the NIC counts them",
    )


def _spoof_check(live: Live, plan: NicPlan) -> Iterator[Finding]:
    """Find VFs that drop what a forwarding server forwards."""
    vfs = live.vfs.get(plan.name, ())
    strict = [number for number, vf in enumerate(vfs) if vf.get("spoofchk") is True and not vf.get("trust")]
    if not strict:
        return
    planned = any(vf.spoof_check and not vf.trust for vf in plan.vfs)
    yield warning(
        f"VFs of the NIC {_name(plan)} drop the packets that a forwarding server forwards",
        where=f"ip link show {plan.name}",
        found=f"spoof checking on, trust off: VFs {', '.join(map(str, strict[:8]))}",
        expected="spoof checking off or trust on for servers that forward",
        remedy=f"spoof_check: false for this NIC in your site file, then: {APPLY}" if planned else APPLY,
        why="a frame with another source MAC address than the VF's own is dropped in the NIC, and only the NIC "
        "counts it",
    )
