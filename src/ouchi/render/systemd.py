"""systemd: on which CPUs services run, kernel modules, the folder of the vhost-user sockets."""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.facts.dpdk.support import driver_modules
from ouchi.plan.target import VHOST, Target
from ouchi.render.files import Rendered, text_file


def systemd(target: Target) -> tuple[Rendered, ...]:
    """Drop-ins; none of them replaces a file of a package."""
    return (manager(target), switch(target), modules(target), sockets(target))


def manager(target: Target) -> Rendered:
    """For all services."""
    return text_file(
        target,
        "etc/systemd/system.conf.d/90-ouchi.conf",
        ("[Manager]", f"CPUAffinity={_affinity(target.plan.pools.host)}"),
        "All services begin on the host's CPUs; libvirt puts guests where they belong. Then: reboot.",
    )


def switch(target: Target) -> Rendered:
    """For the distribution's Open vSwitch."""
    return text_file(
        target,
        "etc/systemd/system/ovs-vswitchd.service.d/90-ouchi.conf",
        ("[Service]", "CPUAffinity=", f"CPUAffinity={_affinity(target.switch_cpus)}"),
        "For all threads of ovs-vswitchd but PMD threads, which pin themselves. So dpdk-lcore-mask is not",
        "needed, which would put them all on one CPU. Then: systemctl daemon-reload; systemctl restart ovs-vswitchd.",
    )


def modules(target: Target) -> Rendered:
    """For the NICs of OVS-DPDK."""
    path = "etc/modules-load.d/90-ouchi.conf"
    planned = {nic.address for nic in target.dpdk_nics}
    bound = {nic.dpdk.kmod for nic in target.dpdk_nics if nic.dpdk.kmod and not nic.dpdk.bifurcated}
    used = {
        name for nic in target.facts.nics if nic.address in planned for name in driver_modules(nic, target.facts.dpdk)
    }
    modules = sorted(bound | used)
    remark = "The modules that DPDK's drivers need." if modules else "No NIC of the plan needs a module."
    return text_file(target, path, modules, remark)


def sockets(target: Target) -> Rendered:
    """The folder of the vhost-user sockets, made at every boot."""
    return text_file(
        target,
        "etc/tmpfiles.d/90-ouchi.conf",
        (f"d {VHOST} 0755 libvirt-qemu root -",),
        "QEMU (libvirt-qemu on Debian and Ubuntu) makes the vhost-user sockets, ovs-vswitchd (root) connects.",
    )


def _affinity(cpus: Sequence[int]) -> str:
    return " ".join(map(str, cpus))
