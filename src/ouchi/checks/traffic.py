"""Packets between a host's endpoint on a VLAN and the guests: ping, then iperf3 by TCP and UDP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ouchi.checks.model import Level, Observation, check, judge
from ouchi.clients import iperf
from ouchi.core.errors import Failed, Finding, error, warning
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.machine import Machine
from ouchi.plan.values import counted
from ouchi.site import Site

T = TypeVar("T")

ATTEMPTS = 3
"""How often three pings in a row are tried."""
SECONDS = 3
UDP_PAYLOAD = 1400
"""Bytes of a datagram."""
UDP_OFFERED = 20_000_000
"""Offered UDP load in bit/s of payload: what an emulated guest's kernel can take; figures say it."""


@dataclass(frozen=True, slots=True)
class Route:
    """From the endpoint of a network (in its namespace) to a server's address, by the networks it crosses."""

    namespace_of: str
    server: str
    address: str
    networks: tuple[str, ...]
    through: str

    def __str__(self) -> str:
        way = f" through {self.through}" if self.through else ""
        return f"endpoint on {self.namespace_of} to {self.server} ({self.address}){way}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """iperf3 over one path: TCP received (bit/s), UDP offered and received (bit/s), datagrams sent and lost."""

    path: str
    seconds: float
    tcp_bps: float
    udp_offered_bps: float
    udp_received_bps: float
    udp_payload_bytes: int
    udp_sent: int
    udp_lost: int


def routes(site: Site) -> list[Route]:
    """What can be reached from the host's endpoints, the longest way first."""
    found = []
    forwarders = {
        str(port.address): server for server in site.servers if server.forwards for port in server.ports if port.address
    }
    for network in site.networks:
        if not network.endpoint:
            continue
        by = forwarders.get(str(network.gateway))
        behind = {port.network for port in by.ports} - {network.name} if by else set()
        for server in site.servers:
            for port in server.ports:
                if not port.address:
                    continue
                if port.network == network.name:
                    found.append(Route(network.name, server.name, str(port.address), (network.name,), ""))
                elif by and port.network in behind and server is not by:
                    crossed = (network.name, port.network)
                    found.append(Route(network.name, server.name, str(port.address), crossed, by.name))
    return sorted(found, key=lambda route: -len(route.networks))


def inside(instance: Instance, route: Route) -> tuple[str, ...]:
    """The words that run a program in the route's namespace."""
    return ("ip", "netns", "exec", f"{instance.name}-{route.namespace_of}")


def spaces(instance: Instance, site: Site) -> tuple[str, ...]:
    """The endpoints' namespaces in the order of their numbers."""
    return tuple(f"{instance.name}-{network.name}" for network in site.networks if network.endpoint)


@check("traffic.ping", Level.PLACED, "the endpoint reaches every server")
def ping(machine: Machine, instance: Instance, routes: Sequence[Route]) -> Observation:
    """Ping along every route, in parallel."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        findings = pool.map(lambda route: ping_finding(machine, instance, route), routes)
        return judge([finding for finding in findings if finding], counted(len(routes), "route"))


def ping_finding(machine: Machine, instance: Instance, route: Route, *, seconds: float = 60) -> Finding | None:
    """Ping until an answer comes within ``seconds`` (a guest may still be booting), then three times in a row; None when
    all are answered. A warning when that took more than one attempt: a busy host that emulates guests may lose one."""
    ping = (*inside(instance, route), "ping", "-n", "-q")
    end = time.monotonic() + seconds
    # One by one: ping ends at once when the address does not resolve, regardless of its deadline.
    while not machine.run((*ping, "-c", "1", "-W", "1", route.address), timeout=10, check=False).ok:
        if time.monotonic() > end:
            break
        time.sleep(0.2)
    found = ""
    for _ in range(ATTEMPTS):
        response = machine.run((*ping, "-c", "3", "-i", "0.05", "-W", "2", route.address), timeout=15, check=False)
        if " 3 received" in response.stdout:
            lost = "pings were lost before three in a row were answered"
            return warning(lost, where=str(route), found=found, remedy="ouchi doctor") if found else None
        lines = [line for line in response.stdout.splitlines() if "received" in line or line.startswith("rtt")]
        found = " ".join(lines) or response.stderr.strip() or "no answer"
        if " 0 received" in response.stdout:
            break
    return error(f"ping: {route}", found=found, expected="3 of 3 answers", remedy=f"ouchi console {route.server}")


@check("traffic.vlans", Level.PLACED, "the datapath's flows have the networks' VLANs")
def vlans(site: Site, routes: Sequence[Route], flows: str) -> Observation:
    """Look for the VLANs of networks with an endpoint in the output of ``dpctl/dump-flows``, just after the pings.

    Between two guests of one host no frame is tagged; to the endpoint every one is.
    """
    seen = {int(vlan) for vlan in re.findall(r"vlan\(vid=(\d+)", flows)}
    crossed = {route.namespace_of for route in routes}
    expected = [network.vlan for network in site.networks if network.name in crossed]
    problems = [
        error(
            f"VLAN {vlan} is not in the datapath's flows",
            where="ovs-appctl dpctl/dump-flows",
            found=f"VLANs: {', '.join(map(str, sorted(seen))) or 'none'}",
            expected=f"flows that match or push VLAN {vlan}",
            remedy="ouchi status",
        )
        for vlan in expected
        if vlan not in seen
    ]
    return judge(problems, ", ".join(map(str, expected)))


def measure(machine: Machine, instance: Instance, route: Route, notify: Notify) -> Measurement:
    """iperf3 from the endpoint to the guest's server, TCP then UDP."""
    prefix = inside(instance, route)
    notify(f"iperf3 TCP, {SECONDS} s")
    tcp = _retry(route, lambda: iperf.measure_tcp(machine, prefix, route.address, seconds=SECONDS))
    notify(f"iperf3 UDP, {SECONDS} s, {UDP_OFFERED / 1e6:.0f} Mbit/s offered")
    udp = _retry(
        route,
        lambda: iperf.measure_udp(
            machine, prefix, route.address, seconds=SECONDS, payload_bytes=UDP_PAYLOAD, bps=UDP_OFFERED
        ),
    )
    return Measurement(
        path=str(route),
        seconds=SECONDS,
        tcp_bps=tcp.received_bps,
        udp_offered_bps=float(UDP_OFFERED),
        udp_received_bps=(udp.sent - udp.lost) * UDP_PAYLOAD * 8 / udp.seconds,
        udp_payload_bytes=UDP_PAYLOAD,
        udp_sent=udp.sent,
        udp_lost=udp.lost,
    )


def _retry(route: Route, measurement: Callable[[], T]) -> T:
    """A measurement, retried for ten seconds: the server may be between two tests."""
    end = time.monotonic() + 10
    while True:
        try:
            return measurement()
        except Failed as failed:
            if time.monotonic() > end:
                (finding,) = failed.findings
                remedy = f"ouchi console {route.server}"
                raise Failed.of(f"iperf3 could not measure: {route}", found=finding.found, remedy=remedy) from None
        time.sleep(0.5)
