"""Packets that Open vSwitch drops: at its ports, in its datapath, in packet sockets, and for want of connections."""

from __future__ import annotations

import re

from ouchi.checks.model import Level, Observation, Seen, check, judge, ok, unknown
from ouchi.checks.ovs.answers import ONLY_ROOT, answered
from ouchi.checks.remedies import vsctl
from ouchi.core.errors import Finding, info, warning
from ouchi.live.host import MACHINE, SAMPLES, SWITCH, Live
from ouchi.live.ovs import SILENT, OvsPort
from ouchi.plan.target import Target
from ouchi.plan.values import counted

MOST_CONNECTIONS = 0.9
"""The share of the connection tracker's limit above which it is nearly full."""

SOCKETS = ("", "system")
"""Types of ports that have a packet socket in the userspace datapath."""

RATE = 1.0
"""Drops of the datapath per second over a minute; a port that is added costs a few packets once."""

_REASONS = {
    "ovs_tx_failure_drops": "the ring of the receiver is full: its guest, or the NIC, is too slow or does not run",
    "ovs_tx_mtu_exceeded_drops": "frames are larger than the port's MTU",
    "ovs_tx_qos_drops": "an egress policer",
    "ovs_rx_qos_drops": "an ingress policer",
    "ovs_tx_invalid_hwol_drops": "offloads that the port cannot do",
    "rx_missed_errors": "the NIC's ring is full: its PMD thread does not poll in time",
}
"""Statistics of interfaces, and what a rise means (vswitchd/vswitch.xml; lib/netdev-dpdk.c)."""


@check("ovs.port-drops", Level.LOSS, "no port drops packets", SWITCH, MACHINE, SAMPLES)
@answered("tables", "datapath", daemon=True)
def port_drops(live: Live, _target: Target) -> Observation:
    """Look for ports whose drops rise within the sample.

    Internal ports are left out: flooded frames are dropped at a bridge's own tap device while it is down, as it mostly is.
    """
    ports = {port.name: port for port in live.switch.ports if port.kind != "internal"}
    problems = []
    for name, after in live.counters.after.items():
        before = live.counters.before.get(name)
        if before is None or name not in ports:
            continue
        risen = {
            direction: last - first
            for direction, first, last in (
                ("received", before.rx_dropped, after.rx_dropped),
                ("sent", before.tx_dropped, after.tx_dropped),
            )
            if first is not None and last is not None and last > first
        }
        if risen:
            problems.append(_dropping(live, ports[name], risen))
    return judge(problems, f"{counted(len(ports), 'port')} within {live.seconds:.1f} s")


def _dropping(live: Live, port: OvsPort, risen: dict[str, int]) -> Finding:
    reasons = {key: count for key, count in port.statistics.items() if key in _REASONS and count}
    texts = [f"{key}={count}" for key, count in reasons.items()]
    return warning(
        f"the port {port.name} drops packets",
        where="ovs-appctl dpctl/show -s",
        found=", ".join(f"{count} of those {direction}" for direction, count in risen.items())
        + f" within {live.seconds:.1f} s"
        + (f"; since the port was created: {', '.join(texts)}" if texts else ""),
        expected="no drop",
        remedy=f"{vsctl(live.switch)} get Interface {port.name} statistics; ouchi bench shows at which load it begins",
        why="; ".join(_REASONS[key] for key in reasons)
        or "the port's ring or queue is full, or its guest is not ready",
    )


@check("ovs.datapath-drops", Level.LOSS, "the datapath drops no packets", SWITCH, MACHINE, SAMPLES)
@answered("coverage", daemon=True)
def datapath_drops(live: Live, _target: Target) -> Observation:
    """Look for drops in the coverage counters of the last minute.

    ``datapath_drop_*`` and those of ports are losses; ``drop_action_*`` are what the flows of the bridges ask for, such
    as a security group's, or loops of theirs (lib/dpif-netdev.c, ofproto/ofproto-dpif-xlate.c).
    """
    drops = {name: rate for name, rate in live.counters.events.items() if rate > 0}
    lost = {name: rate for name, rate in drops.items() if re.match(r"datapath_drop_|netdev_\w+_drops$", name)}
    by_flows = {name: rate for name, rate in drops.items() if name.startswith("drop_action_")}
    problems = [
        severity(
            claim,
            where="ovs-appctl coverage/show",
            found=", ".join(
                f"{name} {rate:g}/s" for name, rate in sorted(events.items(), key=lambda item: -item[1])[:6]
            ),
            expected="0 over the last minute",
            remedy=remedy,
            why=why,
        )
        for severity, events, claim, remedy, why in (
            (
                warning if sum(lost.values()) >= RATE else info,
                lost,
                "the datapath drops packets",
                "ovs-appctl dpctl/dump-flows -m; ovs-appctl upcall/show",
                "none of these packets is counted at a port: they were received and never sent",
            ),
            (
                info,
                by_flows,
                "flows drop packets",
                "ovs-appctl dpctl/dump-flows | grep drop, then: ovs-appctl ofproto/trace BRIDGE FLOW",
                "security groups and unknown destinations do this by design; else the bridge's flow tables are wrong",
            ),
        )
        if events
    ]
    return judge(problems, "")


@check("ovs.packet-sockets", Level.LOSS, "packet sockets of ovs-vswitchd drop nothing", SWITCH, MACHINE, SAMPLES)
@answered(daemon=True)
def packet_sockets(live: Live, _target: Target) -> Seen | None:
    """Look at the drops of the packet sockets through which the main thread reads the kernel's interfaces."""
    sockets = live.counters.sockets_after
    if not live.root:
        return unknown(ONLY_ROOT)
    if not sockets:
        kernels = [port.name for port in live.switch.ports if port.kind in SOCKETS and live.switch.userspace(port)]
        return unknown(f"ss shows no packet socket of ovs-vswitchd for {', '.join(kernels[:8])}") if kernels else None
    dropped = {name: count for name, count in sockets.items() if count}
    if not dropped:
        return ok(counted(len(sockets), "socket"))
    rising = [name for name, count in dropped.items() if count > live.counters.sockets_before.get(name, count)]
    severity = warning if rising else info
    return severity(
        f"packet sockets of ovs-vswitchd drop frames of {', '.join(rising[:8])}"
        if rising
        else f"packet sockets of ovs-vswitchd have dropped frames of {', '.join(list(dropped)[:8])}",
        where="ss -0 -m -p",
        found=", ".join(f"{name}: {count}" for name, count in list(dropped.items())[:8])
        + " since the port was created",
        expected="0",
        remedy="guests by vhost-user, NICs by DPDK; for more at once: sysctl net.core.rmem_default, then add the port again",
        why="the main thread does not read them in time; Open vSwitch, ip and dpctl count none of these frames",
    )


@check("ovs.connections", Level.LOSS, "the connection tracker has room", SWITCH, MACHINE, SAMPLES)
@answered(daemon=True)
def connections(live: Live, _target: Target) -> Seen | None:
    """Compare the connections of the userspace connection tracker with its limit; without a bridge there is none."""
    if not live.root:
        return unknown(ONLY_ROOT)
    if live.counters.connections is None:
        reason = live.counters.failed.get("connections", "")
        return unknown(reason) if SILENT in reason else None
    now, most = live.counters.connections
    if now < most * MOST_CONNECTIONS or not most:
        return ok(f"{now} of {most}")
    return warning(
        "the connection tracker is nearly full",
        where="ovs-appctl dpctl/ct-get-nconns",
        found=f"{now} of {most}",
        expected=f"less than {MOST_CONNECTIONS:.0%}",
        remedy=f"ovs-appctl dpctl/ct-set-maxconns {max(2 * most, 3_000_000)}; shorter timeouts: {vsctl(live.switch)} "
        "list CT_Timeout_Policy",
        why="packets of new connections are then invalid to the flows, which drop them",
    )
