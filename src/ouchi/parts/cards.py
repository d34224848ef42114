"""The site's network cards as ports of the bridges: what leaves the host leaves by them."""

from __future__ import annotations

from ouchi.clients import ovs
from ouchi.core.errors import BadInput, Failed, error
from ouchi.core.instance import Instance
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import Machine
from ouchi.plan.target import Target
from ouchi.render.ovs import port_settings


def ports(target: Target) -> dict[str, str]:
    """Each port's name and the PCI address of its card."""
    return {f"dpdk{number}": nic.address for number, nic in enumerate(target.dpdk_nics)}


def attach(machine: Machine, instance: Instance, target: Target) -> Outcome:
    """Give each bridge its card. Raises :class:`~ouchi.core.errors.BadInput` for a card that has not been taken from the
    kernel yet, and :class:`~ouchi.core.errors.Failed` with Open vSwitch's own words when it cannot open one.
    """
    if not target.dpdk_nics:
        return nothing("the site names no card")
    _refuse_untaken(machine, target)
    there = {str(row["name"]) for row in ovs.tables(machine, instance, "Interface", ("name",))}
    words: list[str] = []
    for port, nic in zip(ports(target), target.dpdk_nics, strict=True):
        bridge = target.bridges[nic.physnet]
        words += [
            "--",
            "--may-exist",
            "add-port",
            bridge,
            port,
            "--",
            "set",
            "Interface",
            port,
            *port_settings(target, nic),
        ]
    ovs.vsctl(machine, instance, *words, wait=60)
    _refuse_unopened(machine, instance, target)
    names = ", ".join(
        f"{port} ({nic.name or nic.address})" for port, nic in zip(ports(target), target.dpdk_nics, strict=True)
    )
    return nothing(names) if set(ports(target)) <= there else changed(names)


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
