"""The site's NICs as ports of the bridges: what leaves the host leaves by them."""

from __future__ import annotations

from ouchi.clients import ovs
from ouchi.core.errors import BadInput, Failed, error
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present, unknown
from ouchi.plan.target import Target
from ouchi.render.ovs import port_settings


class Nics(Part):
    name = "nics"
    stage = "dataplane"
    needs = ("bridges",)

    def look(self, at: Context) -> PartState:
        planned = ports(at.target)
        if not planned:
            return present("the site names no NIC", "none planned")
        if not at.machine.exists(at.instance.ovs_socket):
            lost = list(planned)
        elif "ovsdb" not in at.running:
            return unknown("ovsdb is down")
        else:
            lost = detached(at.machine, at.instance, at.target)
        if lost:
            return missing("attach " + ", ".join(f"{planned[port]} as {port}" for port in lost), state="not attached")
        return present(", ".join(f"{port} {address}" for port, address in planned.items()), "attached")

    def make(self, at: Context, notify: Notify) -> Outcome:
        return attach(at.machine, at.instance, at.target)


def ports(target: Target) -> dict[str, str]:
    """Each port's name and the PCI address of its NIC."""
    return {f"dpdk{number}": nic.address for number, nic in enumerate(target.dpdk_nics)}


def attach(machine: Machine, instance: Instance, target: Target) -> Outcome:
    """Give each bridge its NIC.

    Raises :class:`~ouchi.core.errors.BadInput` for a NIC that the kernel still has, and
    :class:`~ouchi.core.errors.Failed` with Open vSwitch's own message when it cannot open one.
    """
    if not target.dpdk_nics:
        return nothing("the site names no NIC")
    _refuse_untaken(machine, target)
    lost = detached(machine, instance, target)
    words: list[str] = []
    for port, nic in zip(ports(target), target.dpdk_nics, strict=True):
        words += ["--", "--may-exist", "add-port", target.bridges[nic.physnet], port]
        words += ["--", "set", "Interface", port, *port_settings(target, nic)]
    ovs.vsctl(machine, instance, *words, wait=60)
    _refuse_unopened(machine, instance, target)
    return changed(f"attached: {', '.join(lost)}") if lost else nothing(", ".join(ports(target)))


def detached(machine: Machine, instance: Instance, target: Target) -> list[str]:
    """The NICs' ports that Open vSwitch has not."""
    there = {str(row["name"]) for row in ovs.tables(machine, instance, "Interface", ("name",))}
    return [port for port in ports(target) if port not in there]


def _refuse_untaken(machine: Machine, target: Target) -> None:
    findings = [
        error(
            f"the NIC {nic.name or nic.address} is not bound to {nic.dpdk.kmod}",
            where=f"/sys/bus/pci/devices/{nic.address}/driver",
            found=driver or "no driver",
            expected=nic.dpdk.kmod,
            remedy="ouchi apply",
        )
        for nic in target.dpdk_nics
        if not nic.dpdk.bifurcated
        and (driver := machine.link(f"/sys/bus/pci/devices/{nic.address}/driver")) != nic.dpdk.kmod
    ]
    if findings:
        raise BadInput(findings)


def _refuse_unopened(machine: Machine, instance: Instance, target: Target) -> None:
    rows = {str(row["name"]): row for row in ovs.tables(machine, instance, "Interface", ("name", "error"))}
    findings = [
        error(
            f"Open vSwitch cannot open the NIC {nic.name or nic.address}",
            where=f"port {port}",
            found=str(rows[port]["error"]),
            expected="an open port",
            remedy="ouchi logs ovs-vswitchd",
        )
        for port, nic in zip(ports(target), target.dpdk_nics, strict=True)
        if rows.get(port, {}).get("error")
    ]
    if findings:
        raise Failed(findings)


PARTS = (Nics(),)
