"""Cables between cards of the generator's and cards of the switch's, and which of them may be used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ouchi.core.errors import BadInput, Finding, error
from ouchi.facts import Facts
from ouchi.facts.dpdk import support
from ouchi.plan.nics import OVS
from ouchi.site import Site

WHERE = "--wire"
VFIO = "vfio-pci"

_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_VIRTUAL = re.compile(r"net_(af_packet|af_xdp|memif|ring|null|vhost|virtio_user)\d+((?:,\w+=[^,=]+)*)")
_INTERFACE = re.compile(r",iface=([^,/]+)")


@dataclass(frozen=True, slots=True)
class Wire:
    """A cable: the device at the generator's end and the one at the switch's, PCI addresses or devices of DPDK's."""

    generator: str
    switch: str

    @property
    def ends(self) -> tuple[str, str]:
        return self.generator, self.switch

    def __str__(self) -> str:
        return f"{self.generator} – {self.switch}"


def check_wires(path: str, wired: bool, wires: Sequence[Wire], site: Site, facts: Facts) -> None:
    """Raise BadInput, with everything at once, unless these wires can carry this path without harm to anybody."""
    if wrong := tuple(_wrong(path, wired, wires, site, facts)):
        raise BadInput(wrong)


def is_card(device: str) -> bool:
    """Whether a device is a PCI function."""
    return _PCI.fullmatch(device) is not None


def _wrong(path: str, wired: bool, wires: Sequence[Wire], site: Site, facts: Facts) -> Iterator[Finding]:
    if wired and not 1 <= len(wires) <= 2:
        yield error(
            f"the path {path} needs one wire or two",
            where=WHERE,
            found=f"{len(wires)}",
            expected="for each cable the generator's device and the switch's",
            remedy=f"ouchi bench --path {path} --wire 0000:01:00.0 0000:01:00.1",
        )
    if wires and not wired:
        yield error(f"the path {path} has no wires", where=WHERE, found=str(wires[0]), expected="--path p2p")
    ends = [end for wire in wires for end in wire.ends]
    ends += [name for end in ends for name in _INTERFACE.findall(end)]
    for end in sorted({end for end in ends if ends.count(end) > 1}):
        yield error("a device can be at one end only", where=WHERE, found=end)
    for wire in wires:
        for end in wire.ends:
            yield from _card(end, facts) if is_card(end) else _virtual(end, facts)
        if is_card(wire.generator) and _of_site(wire.generator, site, facts):
            yield error(
                "the generator cannot have this card: OVS has it",
                where=WHERE,
                found=f"{wire.generator}, which is among the site's NICs",
                expected="a card that your site file does not name",
            )
        if is_card(wire.switch) and not _of_site(wire.switch, site, facts):
            yield error(
                "OVS may not open this card",
                where=WHERE,
                found=f"{wire.switch}, which is not among the site's NICs",
                expected="a card of role ovs-dpdk: DPDK in OVS is started with those alone",
                remedy="add it to nics in your site file, then: ouchi up",
            )


def _card(address: str, facts: Facts) -> Iterator[Finding]:
    nics = [nic for nic in facts.nics if nic.address == address]  # a card may have a function for several ports
    if not nics:
        have = ", ".join(dict.fromkeys(nic.address for nic in facts.nics if nic.address)) or "none"
        yield error(
            "there is no such card", where=WHERE, found=address, expected=f"one of: {have}", remedy="ouchi inspect"
        )
    used = [nic for nic in nics if nic.use]
    for nic in used:
        name = nic.name or address
        yield error(
            f"{address} is in use", where=WHERE, found=f"{name}: {nic.use}", expected="a card that carries nothing"
        )
    for nic in nics[:1] if not used else ():
        verdict = support(nic, facts.dpdk)
        if not verdict.supported:
            yield error(f"DPDK cannot drive {address}", where=WHERE, found=verdict.reason, remedy="ouchi inspect")
        elif nic.driver != VFIO and not verdict.bifurcated:
            yield error(
                f"{address} still belongs to the kernel",
                where=WHERE,
                found=f"driver {nic.driver or 'none'}",
                expected=f"driver {VFIO}",
                remedy=f"driverctl --nosave set-override {address} {VFIO}; "
                f"back with: driverctl --nosave unset-override {address}",
            )


def _virtual(device: str, facts: Facts) -> Iterator[Finding]:
    if not _VIRTUAL.fullmatch(device):
        yield error(
            "this device cannot be at the end of a wire",
            where=WHERE,
            found=device,
            expected="a PCI address (0000:01:00.0), or DPDK's net_af_packet, net_af_xdp, net_memif, net_ring, net_null, "
            "net_vhost or net_virtio_user with a number and arguments (net_af_packet0,iface=veth0)",
        )
    for name in _INTERFACE.findall(device):
        for nic in facts.nics:
            if nic.name == name and nic.use:
                yield error(
                    f"{name} is in use", where=WHERE, found=nic.use, expected="an interface that carries nothing"
                )


def _of_site(address: str, site: Site, facts: Facts) -> bool:
    names = {name for nic in facts.nics if nic.address == address for name in (nic.name, nic.address) if name}
    return any(wanted.role == OVS and wanted.nic in names for wanted in site.nics)
