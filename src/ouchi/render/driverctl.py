"""driverctl: the kernel module that each DPDK NIC is bound to, set again at every boot."""

from __future__ import annotations

from ouchi.plan.target import Target
from ouchi.render.files import Rendered, script, words


def driverctl(target: Target) -> Rendered:
    """Commands; NICs whose driver is shared with the kernel are never unbound."""
    lines = []
    for nic in target.dpdk_nics:
        name = nic.name or "a NIC without an interface"
        if nic.dpdk.bifurcated:
            lines.append(f"# {name}, {nic.address}: {nic.dpdk.pmd} works beside the kernel's driver, which stays")
        elif nic.dpdk.kmod:
            lines.append(f"# {name}, {nic.address}; to undo: {words('driverctl', 'unset-override', nic.address)}")
            lines.append(words("driverctl", "set-override", nic.address, nic.dpdk.kmod))
    if not lines:
        lines.append("# no NIC of the plan is bound to another driver")
    return script(
        target, "driverctl.sh", lines, "Run it as root on the host; the NICs leave the kernel's network at once."
    )
