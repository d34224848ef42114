"""Bridges and ports of Open vSwitch, and which of them no PMD thread serves."""

from __future__ import annotations

from ouchi.checks.model import Level, Observation, check, judge
from ouchi.checks.ovs.answers import answered
from ouchi.checks.ovs.daemon import without_memory
from ouchi.checks.remedies import UP, logs, vsctl
from ouchi.core.errors import Finding, error, info, warning
from ouchi.live import wire
from ouchi.live.host import MACHINE, SWITCH, Live
from ouchi.live.ovs import OURS, Switch
from ouchi.plan.target import Target
from ouchi.plan.values import counted

MAIN_THREAD = ("", "system", "tap", "afxdp-nonpmd")
"""Types of ports in the userspace datapath that no PMD thread polls; internal ports are the bridges' own."""

PAUSES = ("rx-flow-ctrl", "tx-flow-ctrl", "flow-ctrl-autoneg")
"""Options of DPDK ports (vswitchd/vswitch.xml)."""


@check("ovs.bridges", Level.RUNNING, "bridges are in the userspace datapath", SWITCH, MACHINE)
@answered("tables", daemon=True)
def bridges(live: Live, target: Target) -> Observation | None:
    """Look at each bridge's ``datapath_type``; patch ports join only bridges of one datapath."""
    switch = live.switch
    needed = ("br-int", *target.bridges.values())
    # No plan of ouchi's makes bridges in the distribution's Open vSwitch, so none is missing there.
    absent = [name for name in needed if name not in switch.bridges] if switch.whose == OURS else []
    in_kernel = {
        name: kind
        for name, kind in switch.bridges.items()
        if kind != "netdev" and (switch.whose == OURS or name in needed)
    }
    problems = [
        error(
            f"the bridge {name} is not in the userspace datapath",
            where=f"ovs-vsctl get Bridge {name} datapath_type",
            found=kind or "system",
            expected="netdev",
            remedy=UP if switch.whose == OURS else f"{vsctl(switch)} set Bridge {name} datapath_type=netdev",
            why="its packets leave the PMD threads for the kernel, or are dropped where a patch port cannot join the two",
        )
        for name, kind in in_kernel.items()
    ]
    if absent:
        problems.append(
            error(
                f"bridges are missing: {', '.join(absent)}",
                where="ovs-vsctl list-br",
                found=", ".join(switch.bridges) or "no bridge",
                expected=", ".join(needed),
                remedy=UP,
                why="packets of their networks are not forwarded",
            )
        )
    return judge(problems, ", ".join(switch.bridges))


@check("ovs.ports", Level.RUNNING, "every port was created and has a link", SWITCH, MACHINE)
@answered("tables", daemon=True)
def ports(live: Live, target: Target) -> Observation | None:
    """Look for ports that ovs-vswitchd could not create, and DPDK ports without a link."""
    switch = live.switch
    failed = [port for port in switch.ports if port.error]
    problems = [without_memory(live, target)] if switch.without_shared_data and failed else []
    problems += [
        error(
            f"Open vSwitch could not create the port {port.name}",
            where=f"ovs-vsctl get Interface {port.name} error",
            found=port.error,
            expected="no error",
            remedy=logs(switch),
            why="the port is in the database and nowhere else: what is sent to it is lost",
        )
        for port in failed
    ]
    problems += [
        warning(
            f"the NIC of the port {port.name} has no link",
            where=f"ovs-vsctl get Interface {port.name} link_state",
            found=port.link,
            expected="up",
            remedy="check the cable and the other end",
            why="nothing is sent or received there",
        )
        for port in switch.ports
        if port.kind == "dpdk" and not port.error and port.link == "down"
    ]
    return judge(problems, counted(len(switch.ports), "port"))


@check("ovs.kernel-ports", Level.LOSS, "no port is served by the kernel or the main thread", SWITCH, MACHINE)
@answered("tables", daemon=True)
def kernel_ports(live: Live, target: Target) -> Observation:
    """Look for interfaces of the kernel in the userspace datapath, and for guests' taps in the kernel's one."""
    switch = live.switch
    mine = [port for port in switch.ports if not port.error and port.kind in MAIN_THREAD and switch.userspace(port)]
    wires = [port.name for port in mine if switch.whose == OURS and wire.OURS.fullmatch(port.name)]
    problems = [
        severity(
            f"ovs-vswitchd's main thread serves the ports {', '.join(names[:8])}",
            where="ovs-vsctl --columns=name,type list Interface",
            found="; ".join(f"{port.name}: {port.description}" for port in mine if port.name in names),
            expected="ports of type dpdk or dpdkvhostuserclient, which PMD threads poll",
            remedy=remedy,
            why="it reads them by system calls between all its other work: while it does that, the socket's buffer is "
            "full after a few hundred frames, and only the socket counts what it drops",
        )
        for severity, names, remedy in (
            (warning, [port.name for port in mine if port.name not in wires], "guests by vhost-user, NICs by DPDK"),
            (info, wires, "nothing: they are ouchi's own wires to the endpoints; measure with: ouchi bench"),
        )
        if names
    ]
    if switch.whose != OURS:
        others = switch.bridges.keys() - {"br-int", *target.bridges.values()}  # those are findings of ovs.bridges
        problems += [_in_kernel(switch, name) for name in sorted(others) if switch.bridges[name] != "netdev"]
    return judge(problems, "")


@check("ovs.mtu", Level.LOSS, "ports carry the largest packets of their networks", SWITCH, MACHINE)
@answered("tables", daemon=True)
def mtu(live: Live, target: Target) -> Observation | None:
    """Compare the MTU of NICs with the largest one of their physnet, and of guests' ports with the smallest of the site."""
    nics = {plan.address: target.mtus.get(plan.physnet, 0) for plan in target.dpdk_nics}
    least = min((network.mtu for network in target.site.networks), default=0)
    needed = [
        (port, least if port.vhost else nics.get(port.options.get("dpdk-devargs", "").partition(",")[0], 0))
        for port in live.switch.ports
        if port.polled and port.mtu
    ]
    seen = sorted({port.mtu for port, size in needed if size})
    if not seen:
        return None
    problems = [
        error(
            f"the port {port.name} drops packets of its network's MTU",
            where=f"ovs-vsctl get Interface {port.name} mtu",
            found=f"{port.mtu}",
            expected=f"at least {size}",
            remedy=UP
            if live.switch.whose == OURS
            else f"{vsctl(live.switch)} set Interface {port.name} mtu_request={size}",
            why="Open vSwitch drops what is larger when it sends (ovs_tx_mtu_exceeded_drops); a NIC does not receive it",
        )
        for port, size in needed
        if port.mtu < size
    ]
    return judge(problems, ", ".join(map(str, seen)))


@check("ovs.flow-control", Level.LOSS, "no NIC pauses the switch at its other end", SWITCH, MACHINE)
@answered("tables", daemon=True)
def flow_control(live: Live, _target: Target) -> Observation | None:
    """Look for NICs with Ethernet flow control, which Open vSwitch has off by default (topics/dpdk/phy.rst)."""
    switch = live.switch
    nics = [port for port in switch.ports if port.kind == "dpdk" and port.polled]
    if not nics:
        return None
    problems = [
        info(
            f"flow control is on for the port {port.name}",
            where=f"ovs-vsctl get Interface {port.name} options",
            found=", ".join(f"{key}={port.options[key]}" for key in on),
            expected="no flow control",
            remedy="; ".join(f"{vsctl(switch)} remove Interface {port.name} options {key}" for key in on),
            why="a NIC whose ring is full then pauses its link: packets, also those for other guests, wait and are lost in "
            "the switch at the other end, which no counter here shows; one that obeys pauses sends later than it could",
        )
        for port in nics
        if (on := [key for key in PAUSES if port.options.get(key) == "true"])
    ]
    return judge(problems, "")


def _in_kernel(switch: Switch, bridge: str) -> Finding:
    ports = [port for port in switch.ports if port.bridge == bridge and port.name != bridge]
    taps = [port.name for port in ports if port.kind in MAIN_THREAD and port.status.get("driver_name") == "tun"]
    severity = warning if taps else info
    return severity(
        f"the bridge {bridge} is in the kernel's datapath"
        + (f", with the guests' taps {', '.join(taps[:8])}" if taps else ""),
        where=f"ovs-vsctl get Bridge {bridge} datapath_type",
        found=", ".join(port.name for port in ports[:8]) or "no port",
        expected="bridges with datapath_type=netdev, and guests by vhost-user",
        remedy=f"{vsctl(switch)} set Bridge {bridge} datapath_type=netdev"
        if taps
        else "nothing, where it is for no guest",
        why="no PMD thread polls its ports: the kernel forwards their packets on whatever CPU it likes, and no check here "
        "looks at what it drops",
    )
