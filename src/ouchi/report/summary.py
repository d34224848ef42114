"""The end of ``up``: what runs now, the figures measured through it, and what to try next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ouchi.checks.traffic import Measurement
from ouchi.checks.verdict import Verdict
from ouchi.machine.program import as_started
from ouchi.plan.target import Target
from ouchi.report.plan import pools_line


def summary_text(target: Target, verdict: Verdict, seconds: float) -> str:
    """The summary for people."""
    site, plan = target.site, target.plan
    servers = ", ".join(f"{guest.name} ({'pinned' if guest.pinned else 'shared CPUs'})" for guest in plan.guests)
    lines = [
        "",
        f"{site.name} is an NFV host ({seconds:.0f} s)",
        f"  pools     {pools_line(plan)}",
        f"  servers   {servers}",
        f"  verified  {verdict.held()}",
    ]
    for measurement in verdict.measurements:
        lines += [f"  measured  {line}" for line in _measured(measurement)]
    for hop in verdict.hops:
        lines.append(f"  hop       {hop.name}: {hop.sent} frames sent, {hop.arrived} arrived, {hop.lost} lost")
    lines += [f"  label     {label}" for label in verdict.labels]
    first = site.servers[0].name if site.servers else "SERVER"
    lines += [
        "",
        "next",
        *_commands(
            {
                "ouchi status": "every part's live state",
                f"ouchi console {first}": "a server's console",
                "ouchi openstack server list": "the OpenStack client, as administrator",
                'eval "$(ouchi env)"': "for ovs-vsctl, ovs-appctl, ovn-nbctl and virsh of your own",
                "ouchi down": "stop everything and put the machine back",
            }
        ),
    ]
    return "\n".join(lines)


def _commands(uses: Mapping[str, str]) -> list[str]:
    """Commands as they are typed here, and what each is for."""
    shown = {as_started(command): use for command, use in uses.items()}
    width = max(map(len, shown)) + 5
    return [f"  {command:<{width}}{use}" for command, use in shown.items()]


def _measured(measurement: Measurement) -> list[str]:
    tcp, received, offered = (
        bps / 1e6 for bps in (measurement.tcp_bps, measurement.udp_received_bps, measurement.udp_offered_bps)
    )
    lost, sent = measurement.udp_lost, measurement.udp_sent
    udp = f"iperf3 UDP {received:.1f} Mbit/s received of {offered:.0f} offered"
    loss = f"{lost} of {sent} datagrams of {measurement.udp_payload_bytes} B lost ({lost / max(1, sent):.2%})"
    return [
        measurement.path,
        f"iperf3 TCP {tcp:.1f} Mbit/s received over {measurement.seconds:g} s",
        f"{udp}; {loss}",
    ]


def summary_json(
    target: Target, verdict: Verdict | None, timings: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """The same for programs; ``verified`` is null when ``up`` stopped before."""
    return {
        "schema": 1,
        "site": target.site.name,
        "seconds": round(seconds, 2),
        "plan": target.plan.to_json(),
        "verified": verdict.to_json() if verdict else None,
        "tasks": timings,
    }
