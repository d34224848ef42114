"""Cables between the generator's NICs and the switch's NICs, and checks of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ouchi.core.errors import BadInput, Finding, error
from ouchi.facts import Facts
from ouchi.facts.dpdk import support
from ouchi.facts.verdict import OVS
from ouchi.measure.paths.path import Path
from ouchi.site import Site

WHERE = "--wire"
VFIO = "vfio-pci"

_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_VDEV = re.compile(r"net_(af_packet|af_xdp|memif|ring|null|vhost|virtio_user)\d+((?:,\w+=[^,=]+)*)")
_INTERFACE = re.compile(r",iface=([^,/]+)")


class Wire(NamedTuple):
    """A cable: the devices at the generator's and at the switch's end, PCI addresses or DPDK virtual devices."""

    generator: str
    switch: str

    def __str__(self) -> str:
        return f"{self.generator} – {self.switch}"


def check_wires(path: Path, wires: Sequence[Wire], site: Site, facts: Facts) -> None:
    """Raise BadInput with all errors unless the wires fit the path and use only NICs that are free."""
    if findings := tuple(_findings(path, wires, site, facts)):
        raise BadInput(findings)


def is_pci(device: str) -> bool:
    """Whether a device is a PCI address."""
    return _PCI.fullmatch(device) is not None


def _findings(path: Path, wires: Sequence[Wire], site: Site, facts: Facts) -> Iterator[Finding]:
    if path.wired and not 1 <= len(wires) <= 2:
        yield error(
            f"the path {path.name} needs one or two wires",
            where=WHERE,
            found=f"{len(wires)}",
            expected="the generator's and the switch's device for each cable",
            remedy=f"ouchi bench --path {path.name} --wire 0000:01:00.0 0000:01:00.1",
        )
    if wires and not path.wired:
        yield error(f"the path {path.name} has no wires", where=WHERE, found=str(wires[0]), expected="--path p2p")
    ends = [end for wire in wires for end in wire]
    ends += [name for end in ends for name in _INTERFACE.findall(end)]
    for end in sorted({end for end in ends if ends.count(end) > 1}):
        yield error("a device is at two ends", where=WHERE, found=end)
    for wire in wires:
        for end in wire:
            yield from _nic_findings(end, facts) if is_pci(end) else _vdev_findings(end, facts)
        if is_pci(wire.generator) and _in_site(wire.generator, site, facts):
            yield error(
                "the generator cannot use this NIC: OVS uses it",
                where=WHERE,
                found=f"{wire.generator}, which is one of the site's NICs",
                expected="a NIC that is not in your site file",
            )
        if is_pci(wire.switch) and not _in_site(wire.switch, site, facts):
            yield error(
                "OVS is not allowed to open this NIC",
                where=WHERE,
                found=f"{wire.switch}, which is not one of the site's NICs",
                expected="a NIC with role ovs-dpdk: only those are on the allow list of DPDK in OVS",
                remedy="add it to nics in your site file, then: ouchi up",
            )


def _nic_findings(address: str, facts: Facts) -> Iterator[Finding]:
    nics = [nic for nic in facts.nics if nic.address == address]  # one PCI function may have several ports
    if not nics:
        have = ", ".join(dict.fromkeys(nic.address for nic in facts.nics if nic.address)) or "none"
        yield error(
            "there is no such NIC", where=WHERE, found=address, expected=f"one of: {have}", remedy="ouchi inspect"
        )
    used = [nic for nic in nics if nic.use]
    for nic in used:
        name = nic.name or address
        yield error(f"{address} is in use", where=WHERE, found=f"{name}: {nic.use}", expected="an unused NIC")
    for nic in nics[:1] if not used else ():
        verdict = support(nic, facts.dpdk)
        if not verdict.supported:
            yield error(f"DPDK does not support {address}", where=WHERE, found=verdict.reason, remedy="ouchi inspect")
        elif nic.driver != VFIO and not verdict.bifurcated:
            yield error(
                f"{address} is bound to a kernel driver",
                where=WHERE,
                found=f"driver {nic.driver or 'none'}",
                expected=f"driver {VFIO}",
                remedy=f"driverctl --nosave set-override {address} {VFIO}; "
                f"undo with: driverctl --nosave unset-override {address}",
            )


def _vdev_findings(device: str, facts: Facts) -> Iterator[Finding]:
    if not _VDEV.fullmatch(device):
        yield error(
            "the device cannot be at the end of a wire",
            where=WHERE,
            found=device,
            expected="a PCI address (0000:01:00.0), or DPDK's net_af_packet, net_af_xdp, net_memif, net_ring, net_null, "
            "net_vhost or net_virtio_user with a number and arguments (net_af_packet0,iface=veth0)",
        )
    for name in _INTERFACE.findall(device):
        for nic in facts.nics:
            if nic.name == name and nic.use:
                yield error(f"{name} is in use", where=WHERE, found=nic.use, expected="an unused interface")


def _in_site(address: str, site: Site, facts: Facts) -> bool:
    names = {name for nic in facts.nics if nic.address == address for name in (nic.name, nic.address) if name}
    return any(nic.role == OVS and nic.nic in names for nic in site.nics)
