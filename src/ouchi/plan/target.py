"""The target: a host's plan with the site and the facts that it was made from, and what follows from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ouchi.core.cpulist import format_cpus
from ouchi.core.errors import BadInput, Finding, error
from ouchi.facts import Facts
from ouchi.plan import NicPlan, Plan
from ouchi.plan.nodes import switch_cpus
from ouchi.site import Site

VHOST = "/run/vhost-user"
"""Where guests' QEMU makes the vhost-user sockets that Open vSwitch connects to; a folder for nothing else."""

SAVE = "ouchi plan --json > FILE"
"""The command that saves a plan, in findings about saved plans."""

_NAMES = {
    "name": re.compile(r"[^\s/\x00-\x1f]{0,15}"),  # as the kernel's dev_valid_name()
    "address": re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"),
}
_MODULE = re.compile(r"[a-zA-Z0-9_-]{0,64}")


@dataclass(frozen=True, slots=True)
class Target:
    """The target of one host.

    The host's name is the site's, which is safe in every file; the machine's own host name may differ. ``site_file`` is
    where the site was read from; ``new``: there is no such file yet, and ``up`` would write it.
    """

    site: Site
    facts: Facts
    plan: Plan
    site_file: str = ""
    new: bool = False

    @property
    def bridges(self) -> dict[str, str]:
        """Each physnet's bridge; a device name has at most 15 characters."""
        physnets = {network.physnet for network in self.site.networks} | {nic.physnet for nic in self.site.nics}
        return {name: f"br-{name}"[:15] for name in sorted(physnets)}

    @property
    def mtus(self) -> dict[str, int]:
        """Each physnet's MTU in bytes: that of its network with the largest packets."""
        return {
            physnet: max((net.mtu for net in self.site.networks if net.physnet == physnet), default=1500)
            for physnet in self.bridges
        }

    @property
    def vlan_ranges(self) -> tuple[str, ...]:
        """The VLANs of the site as neutron reads them: ``physnet1:101:102``."""
        ranges = []
        for physnet in self.bridges:
            # Ranges of VLANs are written as those of CPUs are.
            vlans = format_cpus(net.vlan for net in self.site.networks if net.physnet == physnet)
            for part in filter(None, vlans.split(",")):
                first, _, last = part.partition("-")
                ranges.append(f"{physnet}:{first}:{last or first}")
        return tuple(ranges)

    @property
    def dpdk_nics(self) -> tuple[NicPlan, ...]:
        """The NICs that OVS-DPDK drives."""
        return tuple(nic for nic in self.plan.nics if nic.role == "ovs-dpdk")

    @property
    def sriov_nics(self) -> tuple[NicPlan, ...]:
        """The NICs whose VFs are for guests."""
        return tuple(nic for nic in self.plan.nics if nic.role == "sriov")

    @property
    def roles(self) -> dict[str, str]:
        """The role of each NIC of the site by PCI address."""
        return {nic.address: nic.role for nic in (*self.dpdk_nics, *self.sriov_nics)}

    @property
    def isolated_cpus(self) -> tuple[int, ...]:
        """The CPUs of PMD threads and pinned vCPUs only, from which interrupts and other programs are kept away."""
        pools = self.plan.pools
        return tuple(sorted({*pools.pmd, *pools.dedicated} - {*pools.host, *pools.shared}))

    @property
    def switch_cpus(self) -> tuple[int, ...]:
        """The CPUs of ovs-vswitchd's threads other than PMD threads."""
        return switch_cpus(self.facts, self.plan.pools)

    @property
    def management(self) -> tuple[str, str]:
        """The interface with the default route and its first address; empty when there is none."""
        for nic in self.facts.nics:
            if nic.default_route and nic.addresses:
                return nic.name, nic.addresses[0].partition("/")[0]
        return "", ""


def check_names(plan: Plan) -> None:
    """Refuse names that no kernel gives, as a forged snapshot may hold: they would end up in scripts and files.

    Raises :class:`~ouchi.core.errors.BadInput` with all of them.
    """
    findings: list[Finding] = []
    for nic in plan.nics:
        if nic.role == "left alone":
            continue
        wrong = [value for key, form in _NAMES.items() if not form.fullmatch(value := getattr(nic, key))]
        wrong += [] if _MODULE.fullmatch(nic.dpdk.kmod) else [nic.dpdk.kmod]
        expected = "a name as the kernel gives it"
        findings += [error("a NIC has an invalid name", found=ascii(name)[:100], expected=expected) for name in wrong]
    if findings:
        raise BadInput(findings)
