"""systemd: on which CPUs services run, kernel modules, the folder of the vhost-user sockets."""

from __future__ import annotations

from ouchi.plan.target import VHOST, Host
from ouchi.render.files import Rendered, text_file


def systemd(host: Host) -> tuple[Rendered, ...]:
    """Drop-ins; none of them replaces a file of a package."""
    return (manager(host), switch(host), modules(host), sockets(host))


def manager(host: Host) -> Rendered:
    """For all services."""
    return text_file(
        host,
        "etc/systemd/system.conf.d/90-ouchi.conf",
        ("[Manager]", f"CPUAffinity={_affinity(host)}"),
        "All services begin on the host's CPUs; libvirt puts guests where they belong. Then: reboot.",
    )


def switch(host: Host) -> Rendered:
    """For the distribution's Open vSwitch."""
    return text_file(
        host,
        "etc/systemd/system/ovs-vswitchd.service.d/90-ouchi.conf",
        ("[Service]", "CPUAffinity=", f"CPUAffinity={_affinity(host)}"),
        "For all threads of ovs-vswitchd but the polling ones, which pin themselves. So dpdk-lcore-mask is not",
        "needed, which would put them all on one CPU. Then: systemctl daemon-reload; systemctl restart ovs-vswitchd.",
    )


def modules(host: Host) -> Rendered:
    """For the cards of OVS-DPDK."""
    path = "etc/modules-load.d/90-ouchi.conf"
    modules = sorted({nic.dpdk.kmod for nic in host.dpdk_nics if nic.dpdk.kmod and not nic.dpdk.bifurcated})
    remark = "The modules that DPDK's drivers are bound to." if modules else "No card of the plan needs a module."
    return text_file(host, path, modules, remark)


def sockets(host: Host) -> Rendered:
    """The folder of the vhost-user sockets, made at every boot."""
    return text_file(
        host,
        "etc/tmpfiles.d/90-ouchi.conf",
        (f"d {VHOST} 0755 libvirt-qemu root -",),
        "QEMU (libvirt-qemu on Debian and Ubuntu) makes the vhost-user sockets, ovs-vswitchd (root) connects.",
    )


def _affinity(host: Host) -> str:
    return " ".join(map(str, host.plan.pools.host))
