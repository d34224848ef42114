"""The cards of the plan: bound as planned, alone in their IOMMU group, and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ouchi.checks.remedies import APPLY, APPLY_RESTART
from ouchi.checks.values import Answer, Check, judged, wrong
from ouchi.core.errors import Finding, error, info, warning
from ouchi.facts import Nic
from ouchi.live.host import MACHINE, Live
from ouchi.plan import NicPlan
from ouchi.plan.nics import OVS, SRIOV
from ouchi.plan.target import Target
from ouchi.site.models import Nic as Wish

DEVICES = "/sys/bus/pci/devices"
HARMLESS = frozenset(("", "vfio-pci", "pci-stub", "pcieport"))
"""Drivers that leave an IOMMU group to VFIO (vfio_dev_viable in drivers/vfio/vfio_main.c)."""

_ADDRESS = re.compile(r"0000:([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")

UNBOUND = "DPDK cannot drive a card that the kernel drives: nothing goes in or out there"
GROUP = "VFIO opens whole groups: while another function of it is with the kernel, the port cannot be made"
NARROW = (
    "what the slot cannot carry waits in the card and is dropped there, while the polling thread is idle; large frames "
    "first"
)
TAKEN = "at the next boot it is taken from DPDK and given an address: the port in Open vSwitch is dead then"
SPOOF = "a frame with another sender than the function's own is dropped in the card, and only the card counts it"


def bound(live: Live, target: Target) -> Answer | None:
    """Each card's driver, and whether it is the same after the next boot."""
    cards = list(_cards(target, OVS))
    if not cards:
        return None
    troubles = []
    for plan, nic in cards:
        driver = live.drivers.get(plan.address, nic.driver)
        if driver != plan.dpdk.kmod and plan.dpdk.kmod:
            troubles.append(
                error(
                    f"the card {_name(plan)} is not bound to {plan.dpdk.kmod}",
                    where=f"{DEVICES}/{plan.address}/driver",
                    found=driver or "no driver",
                    expected=plan.dpdk.kmod,
                    remedy=APPLY,
                    why=UNBOUND,
                )
            )
        elif not plan.dpdk.bifurcated and live.overrides.get(plan.address) != plan.dpdk.kmod:
            troubles.append(
                warning(
                    f"the card {_name(plan)} is bound to {plan.dpdk.kmod} until the next boot only",
                    where=f"/etc/driverctl.d/pci-{plan.address}",
                    found=live.overrides.get(plan.address, "no such file"),
                    expected=plan.dpdk.kmod,
                    remedy=f"driverctl set-override {plan.address} {plan.dpdk.kmod}",
                    why=UNBOUND,
                )
            )
    return judged(troubles, ", ".join(_name(plan) for plan, _ in cards))


def groups(live: Live, target: Target) -> Answer | None:
    """Who else is in the IOMMU group of a card that VFIO is to have."""
    cards = [(plan, nic) for plan, nic in _cards(target, OVS) if not plan.dpdk.bifurcated]
    if not cards:
        return None
    if not target.facts.boot.iommu:
        return wrong(
            error(
                f"vfio-pci cannot have the cards {', '.join(_name(plan) for plan, _ in cards)}: there is no IOMMU",
                where="/sys/kernel/iommu_groups",
                found=target.facts.boot.iommu_reason,
                expected="on",
                remedy=f"switch VT-d, AMD-Vi or IOMMU on in the firmware's setup, and: {APPLY_RESTART}",
                why=UNBOUND,
            )
        )
    ours = {plan.address for plan, _ in cards}
    troubles = [_ungrouped(plan) for plan, nic in cards if nic.iommu_group < 0]
    for plan, nic in cards:
        mates = {
            mate: driver
            for mate in nic.group_with
            if mate not in ours and (driver := live.drivers.get(mate, "")) not in HARMLESS
        }
        if mates:
            troubles.append(
                error(
                    f"the IOMMU group of the card {_name(plan)} is not viable",
                    where=f"/sys/kernel/iommu_groups/{nic.iommu_group}/devices",
                    found=", ".join(f"{mate} with the driver {driver}" for mate, driver in mates.items()),
                    expected="every function of the group with vfio-pci or no driver",
                    # A disk's controller may be among them: what may be taken is apply's to say.
                    remedy=f"{APPLY}, which takes idle cards along and refuses the rest; or the card in another slot",
                    why=GROUP,
                )
            )
    return judged(troubles, "no other driver in their groups")


def functions(live: Live, target: Target) -> Answer | None:
    """Virtual functions: as many as planned, and letting guests forward."""
    cards = list(_cards(target, SRIOV))
    if not cards:
        return None
    troubles = []
    for plan, nic in cards:
        made = len(live.functions.get(plan.address, ())) or nic.vfs_now
        if made < plan.vfs:
            troubles.append(
                error(
                    f"the card {_name(plan)} has fewer virtual functions than planned",
                    where=f"{DEVICES}/{plan.address}/sriov_numvfs",
                    found=f"{made}",
                    expected=f"{plan.vfs}",
                    remedy=APPLY,
                    why="a server that finds no free one does not start",
                )
            )
        troubles += _otherwise(live, target, plan)
        if _forwards(target, plan.physnet):
            troubles += _spoofing(live, target, plan)
    return judged(troubles, ", ".join(f"{_name(plan)}: {plan.vfs}" for plan, _ in cards))


def slots(_live: Live, target: Target) -> Answer | None:
    """Whether the slot carries what the card can."""
    cards = [*_cards(target, OVS), *_cards(target, SRIOV)]
    if not cards:
        return None
    troubles = [
        warning(
            f"the PCIe link of the card {_name(plan)} is below what the card can",
            where=f"{DEVICES}/{plan.address}/current_link_speed",
            found=f"{link.speed_gts:g} GT/s x{link.width}",
            expected=f"{link.max_speed_gts:g} GT/s x{link.max_width}",
            remedy="another slot; a card that is seated badly comes up narrower as well",
            why=NARROW,
        )
        for plan, nic in cards
        if (link := nic.pcie) and 0 < link.speed_gts * link.width < link.max_speed_gts * link.max_width
    ]
    return judged(troubles, "as fast as the cards")


def owners(live: Live, target: Target) -> Answer | None:
    """Configuration files that want a card for the kernel."""
    cards = list(_cards(target, OVS))
    if not cards:
        return None
    troubles = []
    for plan, nic in cards:
        names = {word for word in (plan.name.lower(), nic.mac.lower(), *likely_names(nic)) if word}
        files = [path for path, words in live.networking.items() if names & words]
        if files and not plan.dpdk.bifurcated:
            troubles.append(
                warning(
                    f"the card {_name(plan)} is for DPDK, but the network configuration names it too",
                    where=files[0],
                    found=", ".join(sorted(names & live.networking[files[0]]))
                    + (f"; also in {', '.join(files[1:4])}" if files[1:] else ""),
                    expected="no file that names it",
                    remedy=f"take {_name(plan)} out of {files[0]}",
                    why=TAKEN,
                )
            )
    # Netplan's and NetworkManager's files are root's; without them the answer is no more than half of one.
    said = "no file names them" if live.root else "no file that you may read names them"
    return judged(troubles, said)


def links(_live: Live, target: Target) -> Answer | None:
    """Cards that the kernel still drives have a link; of the others Open vSwitch says it."""
    cards = [
        (plan, nic)
        for plan, nic in [*_cards(target, OVS), *_cards(target, SRIOV)]
        if nic.name and nic.driver not in HARMLESS
    ]
    if not cards:
        return None
    troubles = [
        info(
            f"the card {_name(plan)} has no link",
            where=f"/sys/class/net/{nic.name}/operstate",
            found="down",
            expected="up",
            remedy=f"ip link set {nic.name} up; the cable, and the other end",
            why="nothing goes in or out there",
        )
        for plan, nic in cards
        if not nic.up
    ]
    return judged(troubles, ", ".join(nic.name for _, nic in cards))


CHECKS = (
    Check("nics", "cards are bound as planned", bound, (MACHINE,)),
    Check("nics", "cards' IOMMU groups are viable", groups, (MACHINE,)),
    Check("nics", "virtual functions are as planned", functions, (MACHINE,)),
    Check("nics", "cards' PCIe links are whole", slots, ()),
    Check("nics", "nobody else wants the cards", owners, (MACHINE,)),
    Check("nics", "cards have a link", links, ()),
)


def _cards(target: Target, role: str) -> Iterator[tuple[NicPlan, Nic]]:
    """The plan's cards of a role, each with what it is now."""
    for plan in target.plan.nics:
        nic = next((nic for nic in target.facts.nics if nic.address == plan.address), None)
        if plan.role == role and nic:
            yield plan, nic


def _ungrouped(plan: NicPlan) -> Finding:
    return error(
        f"the card {_name(plan)} is in no IOMMU group",
        where=f"{DEVICES}/{plan.address}/iommu_group",
        found="no such link",
        expected="a group",
        remedy=APPLY_RESTART,
        why=UNBOUND,
    )


def likely_names(nic: Nic) -> tuple[str, ...]:
    """The names that systemd gives a card by its place on the bus (systemd.net-naming-scheme(7)).

    A card that VFIO has shows no name. Those by a slot's or the mainboard's number cannot be told from the address.
    """
    match = _ADDRESS.fullmatch(nic.address)
    if nic.name or not match:
        return (nic.name.lower(),)
    bus, slot, function = (int(number, 16) for number in match.groups())
    whole = (f"enp{bus}s{slot}",) if function == 0 else ()
    return (f"enp{bus}s{slot}f{function}", f"enp{bus}s{slot}f{function}np{function}", *whole)


def _name(plan: NicPlan) -> str:
    return plan.name or plan.address


def _forwards(target: Target, physnet: str) -> bool:
    """Whether a server on this physnet forwards what others send."""
    networks = {network.name for network in target.site.networks if network.physnet == physnet}
    return any(
        server.forwards and any(port.network in networks for port in server.ports) for server in target.site.servers
    )


def _wish(target: Target, plan: NicPlan) -> Wish:
    return next(wish for wish in target.site.nics if wish.nic in (plan.name, plan.address))


def _otherwise(live: Live, target: Target, plan: NicPlan) -> list[Finding]:
    """Functions that are set otherwise than the site says. Their VLAN is nova's to set, where the site has none."""
    wish = _wish(target, plan)
    found = []
    for number, vf in enumerate(live.vfs.get(plan.name, ())[: plan.vfs]):
        asked = {"trust": ("trust", wish.trust), "spoofchk": ("spoof check", wish.spoof_check)}
        # A driver that knows nothing of a setting does not tell of it.
        differing = [
            f"{name} {'on' if vf[key] else 'off'}" for key, (name, on) in asked.items() if key in vf and vf[key] != on
        ]
        if wish.vlan and (vlan := vlan_of(vf)) != wish.vlan:
            differing.append(f"VLAN {vlan or 'none'}")
        if differing:
            found.append(f"{number}: {', '.join(differing)}")
    if not found:
        return []
    return [
        warning(
            f"virtual functions of the card {_name(plan)} are set otherwise than planned",
            where=f"ip link show {plan.name}",
            found="; ".join(found[:8]),
            expected=f"trust {'on' if wish.trust else 'off'}, spoof check {'on' if wish.spoof_check else 'off'}"
            + (f", VLAN {wish.vlan}" if wish.vlan else ""),
            remedy=APPLY,
            why="what a guest sends or should get by another address or VLAN is dropped in the card, and only the card "
            "counts it",
        )
    ]


def vlan_of(vf: Mapping[str, object]) -> int:
    """The VLAN that the card puts a function on, 0 for none."""
    listed = vf.get("vlan_list")
    first = listed[0] if isinstance(listed, list) and listed else {}
    number = first.get("vlan") if isinstance(first, dict) else 0
    return number if isinstance(number, int) else 0


def _spoofing(live: Live, target: Target, plan: NicPlan) -> list[Finding]:
    wish = _wish(target, plan)
    vfs = live.vfs.get(plan.name, ())
    strict = [number for number, vf in enumerate(vfs) if vf.get("spoofchk") is True and not vf.get("trust")]
    if not strict:
        return []
    numbers = ", ".join(map(str, strict[:8]))
    asked = wish.spoof_check and not wish.trust
    return [
        warning(
            f"virtual functions of the card {_name(plan)} drop what a forwarding server passes on",
            where=f"ip link show {plan.name}",
            found=f"spoof checking on, trust off: functions {numbers}",
            expected="spoof checking off or trust on for servers that forward",
            remedy=f"spoof_check: false for this card in your site file, then: {APPLY}" if asked else APPLY,
            why=SPOOF,
        )
    ]
