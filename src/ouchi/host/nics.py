"""Network cards: which driver has them, their virtual functions, and that nobody else configures them."""

from __future__ import annotations

from collections.abc import Iterator

from ouchi.core.errors import Finding, error
from ouchi.facts import Nic
from ouchi.host.cpus import files
from ouchi.host.step import Step
from ouchi.host.survey import Surroundings
from ouchi.plan import NicPlan
from ouchi.plan.target import Target
from ouchi.render.files import text_file
from ouchi.steps import Change, driver
from ouchi.steps import file as path
from ouchi.steps.vfs import VfsKind
from ouchi.steps.vfs import vfs as vfs_change

UNITS = "/etc/systemd/system"
VFIO = "vfio-pci"
FREE = frozenset({"", VFIO, "pci-stub", "pcieport"})
"""Drivers beside which VFIO opens a group (Linux, Documentation/driver-api/vfio.rst)."""


def card_steps(target: Target, around: Surroundings) -> tuple[Step, ...]:
    """Others' hands off first, then the drivers, then virtual functions."""
    bound = to_bind(target)
    steps = []
    if bound and (changes := _left_alone(target, around, bound)):
        steps.append(Step("networks", "nothing else may configure the cards of OVS-DPDK", changes))
    if bound:
        modules = {nic.address: nic.dpdk.kmod for nic in bound} | dict.fromkeys(companions(target, around), VFIO)
        changes = (path.folder(driver.FOLDER), *(driver.driver(address, name) for address, name in modules.items()))
        why = "DPDK drives the cards itself, through vfio-pci"
        steps.append(Step("cards", why, changes, booted=True, cuts=True))
    if target.sriov_nics:
        changes = tuple(change for nic in target.sriov_nics for change in _functions(target, nic))
        why = "guests get virtual functions of the card"
        steps.append(Step("functions", why, changes, booted=True, cuts=True))
    return tuple(steps)


def to_bind(target: Target) -> tuple[NicPlan, ...]:
    """The cards that leave the kernel's driver."""
    return tuple(nic for nic in target.dpdk_nics if nic.dpdk.kmod and not nic.dpdk.bifurcated)


def companions(target: Target, around: Surroundings) -> tuple[str, ...]:
    """Idle cards in the IOMMU groups of cards to bind, such as the second port of a card: VFIO needs them as well."""
    taken = {nic.address for nic in to_bind(target)}
    members = {member for address in sorted(taken) for member in around.groups.get(address, {})}
    idle = {nic.address for nic in target.facts.nics if not nic.use and not nic.up and not nic.vfs_now}
    return tuple(sorted((members & idle) - taken))


def in_the_way(target: Target, around: Surroundings) -> list[Finding]:
    """What keeps a card from being taken: others in its IOMMU group, files that configure it."""
    return [*_shared_groups(target, around), *_configured(target, around)]


def _shared_groups(target: Target, around: Surroundings) -> Iterator[Finding]:
    taken = {nic.address for nic in to_bind(target)} | {*companions(target, around)}
    for nic in (nic for nic in target.facts.nics if nic.address in taken):
        if others := list(_others(target, around, nic, taken)):
            yield error(
                f"the IOMMU group of the NIC {nic.name or nic.address} holds something else that is in use",
                where=f"/sys/kernel/iommu_groups/{nic.iommu_group}/devices",
                found=", ".join(others),
                expected="a group of the NIC alone: VFIO takes whole groups, and would take these as well",
                remedy="the NIC in another slot, or another NIC in your site file: ouchi inspect",
            )


def _configured(target: Target, around: Surroundings) -> Iterator[Finding]:
    for card in (*target.dpdk_nics, *target.sriov_nics):
        if paths := around.naming.get(card.name, ()):
            files = "a file" if len(paths) == 1 else f"{len(paths)} files"
            yield error(
                f"the NIC {card.name} is configured for the kernel's network",
                where=", ".join(paths),
                found=f"its name in {files} of the network's configuration",
                expected="no file that names it: at boot something would wait for it in vain",
                remedy=f"take {card.name} out of there, then: ouchi apply",
            )


def _others(target: Target, around: Surroundings, nic: Nic, taken: set[str]) -> Iterator[str]:
    names = {other.address: other for other in target.facts.nics if other.name}
    for address, kernel_driver in around.groups.get(nic.address, {}).items():
        if address not in taken and kernel_driver not in FREE:
            other = names.get(address)
            yield f"{address}{f' ({other.name}: {other.use})' if other and other.use else ''}, driver {kernel_driver}"


def _left_alone(target: Target, around: Surroundings, bound: tuple[NicPlan, ...]) -> tuple[Change, ...]:
    macs = sorted(nic.mac for nic in target.facts.nics if nic.address in {one.address for one in bound} and nic.mac)
    changes: list[Change] = []
    if macs and "NetworkManager.service" in around.units:
        listed = ";".join(f"mac:{mac}" for mac in macs)
        text = text_file(
            target, "etc/NetworkManager/conf.d/90-ouchi.conf", ("[keyfile]", f"unmanaged-devices+={listed}")
        )
        changes += files(text, "network manager")
    if macs and "systemd-networkd.service" in around.active:
        lines = ("[Match]", f"PermanentMACAddress={' '.join(macs)}", "", "[Link]", "Unmanaged=yes")
        changes += files(text_file(target, "etc/systemd/network/05-ouchi.network", lines), "networkd")
    return tuple(changes)


def _functions(target: Target, nic: NicPlan) -> tuple[Change, ...]:
    """The functions now, and a unit that makes them at every boot before the network and guests come up."""
    vfs = [{"mac": vf.mac, "vlan": vf.vlan, "spoofchk": vf.spoof_check, "trust": vf.trust} for vf in nic.vfs]
    made = vfs_change(nic.address, vfs)
    unit = f"ouchi-vfs-{nic.address.replace(':', '-')}.service"
    script = f"etc/ouchi/{unit.removesuffix('.service')}.sh"
    text = text_file(target, script, ["set -eu", VfsKind().script(nic.address, made.state).rstrip("\n")])
    lines = (
        "[Unit]",
        f"Description=Virtual functions of {nic.name or nic.address}",
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
