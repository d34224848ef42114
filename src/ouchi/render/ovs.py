"""Open vSwitch as a script of ovs-vsctl: settings, bridges, DPDK ports."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ouchi.plan import NicPlan
from ouchi.plan.target import Target
from ouchi.render.files import Rendered, script, words

INTEGRATION = "br-int"
VSCTL = "ovs-vsctl --no-wait"
"""ovs-vswitchd reads the settings when it starts; without ``--no-wait`` ovs-vsctl would wait for it."""

SWITCH = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
"""Debian's and Ubuntu's ovs-vswitchd with DPDK."""


def ovs(target: Target) -> Rendered:
    """One script; running it again changes nothing more."""
    return script(
        target,
        "ovs.sh",
        (*setting_lines(target, VSCTL), *bridge_lines(target, VSCTL), *port_lines(target, VSCTL)),
        "Run it as root on the host, then: systemctl restart ovs-vswitchd. It must be the one with DPDK: on Debian and",
        f"Ubuntu the package openvswitch-switch-dpdk, and update-alternatives --set ovs-vswitchd {SWITCH}.",
        *version_remarks(target),
    )


def version_remarks(target: Target) -> tuple[str, ...]:
    """The comment about the version, on which the names of some keys depend."""
    if target.facts.ovs_version:
        return (f"For Open vSwitch {target.facts.ovs_version}.",)
    return (
        "Which Open vSwitch will run is not known, so keys whose name or meaning depends on it are left out:",
        "pmd-sleep-max (pmd-maxsleep in 3.1), pmd-rxq-affinity with pmd-rxq-isolate (since 2.16).",
    )


def setting_lines(target: Target, vsctl: str) -> Iterator[str]:
    """Commands for the Open_vSwitch record."""
    yield f"{vsctl} init"
    for key, value in target.plan.ovs_other_config.items():
        yield f"{vsctl} {words('set', 'Open_vSwitch', '.', column('other_config', key, value))}"
    yield ""


def bridge_lines(target: Target, vsctl: str) -> Iterator[str]:
    """Commands for the bridges: patch ports join only those of one datapath, so all are netdev."""
    for bridge in (INTEGRATION, *target.bridges.values()):
        yield f"{vsctl} {words('--may-exist', 'add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev')}"
    # Packets wait for the controller's flows and are not switched blindly meanwhile.
    yield f"{vsctl} {words('set', 'Bridge', INTEGRATION, 'fail_mode=secure')}"
    yield ""


def port_lines(target: Target, vsctl: str, *, kernel_names: bool = False) -> Iterator[str]:
    """Commands for the DPDK ports: ``dpdk0``, ``dpdk1``, …, or as kolla-ansible names them, as the kernel their NICs."""
    for number, nic in enumerate(target.dpdk_nics):
        port = (kernel_names and nic.name) or f"dpdk{number}"
        bridge = target.bridges[nic.physnet]
        yield f"# {nic.name or 'a NIC without an interface'}, {nic.address}, NUMA node {nic.node}, for {nic.physnet}"
        settings = port_settings(target, nic)
        yield f"{vsctl} {words('--may-exist', 'add-port', bridge, port, '--', 'set', 'Interface', port, *settings)}"


def port_settings(target: Target, nic: NicPlan) -> tuple[str, ...]:
    """A DPDK port's columns, as ovs-vsctl sets them."""
    settings = [
        "type=dpdk",
        column("options", "dpdk-devargs", nic.address),
        f"mtu_request={target.mtus[nic.physnet]}",
    ]
    if nic.rxqs:
        settings.append(column("options", "n_rxq", str(len(nic.rxqs))))
        if "pmd-rxq-isolate" in target.plan.ovs_other_config:
            pairs = ",".join(f"{queue}:{cpu}" for queue, cpu in enumerate(nic.rxqs))
            settings.append(column("other_config", "pmd-rxq-affinity", pairs))
    return tuple(settings)


def column(column: str, key: str, value: str) -> str:
    """A key of a map as ovs-vsctl reads it: the value as a JSON string, whatever is in it."""
    return f"{column}:{key}={json.dumps(value)}"
