"""Open vSwitch as a script of ovs-vsctl: settings, bridges, DPDK ports."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from ouchi.plan import NicPlan
from ouchi.plan.target import Host
from ouchi.render.files import Rendered, script, words

INTEGRATION = "br-int"
VSCTL = "ovs-vsctl --no-wait"
"""What ovs-vswitchd is to do it does when it starts: until then DPDK does not know its settings."""

SWITCH = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
"""Debian's and Ubuntu's ovs-vswitchd with DPDK."""

AFFINITY_SINCE = (2, 16)
"""The release with ``pmd-rxq-isolate``; without it, polling threads with pinned queues poll nothing else."""


def ovs(host: Host) -> tuple[Rendered, ...]:
    """One script; running it again changes nothing more."""
    return (
        script(
            host,
            "ovs.sh",
            (*setting_lines(host, VSCTL), *bridge_lines(host, VSCTL), *port_lines(host, VSCTL)),
            "Run it as root on the host, then: systemctl restart ovs-vswitchd. It must be the one with DPDK: on Debian and",
            f"Ubuntu the package openvswitch-switch-dpdk, and update-alternatives --set ovs-vswitchd {SWITCH}.",
            *version_remarks(host),
        ),
    )


def release(host: Host) -> tuple[int, int]:
    """The installed Open vSwitch's major and minor version; (0, 0) when it is not known."""
    match = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", host.facts.ovs_version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def version_remarks(host: Host) -> tuple[str, ...]:
    """What is said of the version, on which the names of some keys depend."""
    if host.facts.ovs_version:
        return (f"For Open vSwitch {host.facts.ovs_version}.",)
    return (
        "Which Open vSwitch will run is not known, so keys whose name or meaning depends on it are left out:",
        "pmd-sleep-max (pmd-maxsleep in 3.1), pmd-rxq-affinity with pmd-rxq-isolate (since 2.16).",
    )


def other_config(host: Host) -> dict[str, str]:
    """The plan's ``other_config``, and what its pinned queues need: the polling threads go on to poll guests' ports."""
    queues = {"pmd-rxq-assign": "group", "pmd-rxq-isolate": "false"} if _pins(host) else {}
    return {**queues, **host.plan.ovs_other_config}


def setting_lines(host: Host, vsctl: str) -> Iterator[str]:
    """Commands for the Open_vSwitch record."""
    yield f"{vsctl} init"
    for key, value in other_config(host).items():
        yield f"{vsctl} {words('set', 'Open_vSwitch', '.', column('other_config', key, value))}"
    yield ""


def bridge_lines(host: Host, vsctl: str) -> Iterator[str]:
    """Commands for the bridges: patch ports join only those of one datapath, so all are netdev."""
    for bridge in (INTEGRATION, *host.bridges.values()):
        yield f"{vsctl} {words('--may-exist', 'add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev')}"
    # Packets wait for the controller's flows and are not switched blindly meanwhile.
    yield f"{vsctl} {words('set', 'Bridge', INTEGRATION, 'fail_mode=secure')}"
    yield ""


def port_lines(host: Host, vsctl: str, name: Callable[[int, NicPlan], str] | None = None) -> Iterator[str]:
    """Commands for the DPDK ports; ``name`` names each of them, as a rule ``dpdk0``, ``dpdk1``, …"""
    for number, nic in enumerate(host.dpdk_nics):
        port = name(number, nic) if name else f"dpdk{number}"
        bridge = host.bridges[nic.physnet]
        yield f"# {nic.name or 'a card without an interface'}, {nic.address}, NUMA node {nic.node}, for {nic.physnet}"
        settings = port_settings(host, nic)
        yield f"{vsctl} {words('--may-exist', 'add-port', bridge, port, '--', 'set', 'Interface', port, *settings)}"


def port_settings(host: Host, nic: NicPlan) -> tuple[str, ...]:
    """A DPDK port's columns, as ovs-vsctl sets them."""
    settings = [
        "type=dpdk",
        column("options", "dpdk-devargs", nic.address),
        f"mtu_request={host.mtus[nic.physnet]}",
    ]
    if nic.rxqs:
        settings.append(column("options", "n_rxq", str(len(nic.rxqs))))
        if _pins(host):
            pairs = ",".join(f"{queue}:{cpu}" for queue, cpu in enumerate(nic.rxqs))
            settings.append(column("other_config", "pmd-rxq-affinity", pairs))
    return tuple(settings)


def column(column: str, key: str, value: str) -> str:
    """A key of a map as ovs-vsctl reads it: the value as a JSON string, whatever is in it."""
    return f"{column}:{key}={json.dumps(value)}"


def _pins(host: Host) -> bool:
    return release(host) >= AFFINITY_SINCE and any(nic.rxqs for nic in host.dpdk_nics)
