"""NICs: their drivers, their VFs, and that no other program configures them."""

from __future__ import annotations

from collections.abc import Iterator

from ouchi.core.errors import Finding, Severity, error
from ouchi.facts import verdict
from ouchi.host.cpus import files
from ouchi.host.step import Step
from ouchi.host.survey import Survey
from ouchi.plan import NicPlan
from ouchi.plan.target import Target
from ouchi.render.files import text_file
from ouchi.steps import Change, driver
from ouchi.steps import file as path
from ouchi.steps.vfs import VfsKind
from ouchi.steps.vfs import vfs as vfs_change

UNITS = "/etc/systemd/system"
VFIO = "vfio-pci"


def nic_steps(target: Target, survey: Survey) -> tuple[Step, ...]:
    """First no other program configures the NICs, then they get their drivers, then VFs are made."""
    bound = to_bind(target)
    steps = []
    if bound and (changes := _unmanaged(target, survey, bound)):
        steps.append(Step("networks", "no other program may configure the NICs of OVS-DPDK", changes))
    if bound:
        modules = {nic.address: nic.dpdk.kmod for nic in bound} | dict.fromkeys(companions(target), VFIO)
        changes = (path.folder(driver.FOLDER), *(driver.driver(address, name) for address, name in modules.items()))
        why = "the PMDs of DPDK drive the NICs, through vfio-pci"
        steps.append(Step("NICs", why, changes, booted=True, cuts=True))
    if target.sriov_nics:
        changes = tuple(change for nic in target.sriov_nics for change in _vfs(target, nic))
        why = "guests get VFs of the NIC"
        steps.append(Step("VFs", why, changes, booted=True, cuts=True))
    return tuple(steps)


def to_bind(target: Target) -> tuple[NicPlan, ...]:
    """The NICs that are bound to another driver than the kernel's own."""
    return tuple(nic for nic in target.dpdk_nics if nic.dpdk.kmod and not nic.dpdk.bifurcated)


def companions(target: Target) -> tuple[str, ...]:
    """Idle NICs in the IOMMU groups of NICs to bind: VFIO needs whole groups."""
    return verdict.companions(target.facts, [nic.address for nic in to_bind(target)], target.roles)


def conflicts(target: Target, survey: Survey) -> list[Finding]:
    """Return why a NIC cannot have its role: by its own facts (as the plan has it), and by files that configure it."""
    of = {nic.address: nic for nic in target.facts.nics if nic.address}
    found = [
        one
        for nic in (*target.dpdk_nics, *target.sriov_nics)
        if nic.address in of
        for one in verdict.verdict(target.facts, of[nic.address], nic.role, len(nic.vfs), target.roles)
    ]
    errors = dict.fromkeys(one for one in found if one.severity is Severity.ERROR)
    return [*errors, *_configured(target, survey)]


def _configured(target: Target, survey: Survey) -> Iterator[Finding]:
    for nic in (*target.dpdk_nics, *target.sriov_nics):
        if paths := survey.naming.get(nic.name, ()):
            files = "a file" if len(paths) == 1 else f"{len(paths)} files"
            yield error(
                f"the NIC {nic.name} is configured for the kernel's network",
                where=", ".join(paths),
                found=f"its name in {files} of the network configuration",
                expected="no file that names it: at boot a service would wait for it until its timeout",
                remedy=f"remove {nic.name} there, then: ouchi apply",
            )


def _unmanaged(target: Target, survey: Survey, bound: tuple[NicPlan, ...]) -> tuple[Change, ...]:
    macs = sorted(nic.mac for nic in target.facts.nics if nic.address in {one.address for one in bound} and nic.mac)
    changes: list[Change] = []
    if macs and "NetworkManager.service" in survey.units:
        listed = ";".join(f"mac:{mac}" for mac in macs)
        text = text_file(
            target, "etc/NetworkManager/conf.d/90-ouchi.conf", ("[keyfile]", f"unmanaged-devices+={listed}")
        )
        changes += files(text, "network manager")
    if macs and "systemd-networkd.service" in survey.active:
        lines = ("[Match]", f"PermanentMACAddress={' '.join(macs)}", "", "[Link]", "Unmanaged=yes")
        changes += files(text_file(target, "etc/systemd/network/05-ouchi.network", lines), "networkd")
    return tuple(changes)


def _vfs(target: Target, nic: NicPlan) -> tuple[Change, ...]:
    """The VFs now, and a unit that makes them at every boot before the network and guests start."""
    vfs = [{"mac": vf.mac, "vlan": vf.vlan, "spoofchk": vf.spoof_check, "trust": vf.trust} for vf in nic.vfs]
    made = vfs_change(nic.address, vfs)
    unit = f"ouchi-vfs-{nic.address.replace(':', '-')}.service"
    script = f"etc/ouchi/{unit.removesuffix('.service')}.sh"
    text = text_file(target, script, ["set -eu", VfsKind().script(nic.address, made.state).rstrip("\n")])
    lines = (
        "[Unit]",
        f"Description=Virtual functions (VFs) of {nic.name or nic.address}",
        "DefaultDependencies=no",
        "After=systemd-udev-settle.service local-fs.target",
        "Wants=systemd-udev-settle.service",
        "Before=network-pre.target libvirtd.service",
        "Wants=network-pre.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart=/bin/sh /{script}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    )
    return (
        *files(text),
        *files(text_file(target, f"{UNITS[1:]}/{unit}", lines), "systemd"),
        path.folder(f"{UNITS}/multi-user.target.wants"),
        path.link(f"{UNITS}/multi-user.target.wants/{unit}", f"../{unit}", "systemd"),
        made,
    )
