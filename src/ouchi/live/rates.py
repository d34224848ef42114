"""What changed between two readings of a host, per second: PMD threads, the ports of Open vSwitch, guests."""

from __future__ import annotations

from dataclasses import dataclass

from ouchi.live.counters import PortCounters
from ouchi.live.host import Live


@dataclass(frozen=True, slots=True)
class PmdRate:
    """A PMD thread: its CPU and NUMA node, the busy share of its cycles (0 to 1), packets received per second, Rx queues."""

    cpu: int
    node: int
    busy: float
    rx_pps: float
    queues: int


@dataclass(frozen=True, slots=True)
class PortRate:
    """A port of the userspace datapath: packets, bits and drops per second; None where it has no such counter."""

    name: str
    kind: str
    bridge: str
    rx_pps: float | None
    tx_pps: float | None
    rx_bps: float | None
    tx_bps: float | None
    rx_dropped_pps: float | None
    tx_dropped_pps: float | None


@dataclass(frozen=True, slots=True)
class GuestRate:
    """A guest of ouchi's: how many vCPU threads it has, and how many CPUs' time they took; hugepages in MiB."""

    name: str
    vcpus: int
    cpus_used: float
    hugepages_mib: int | None


@dataclass(frozen=True, slots=True)
class Rates:
    """A host during ``seconds``. ``whose``: the Open vSwitch (:class:`~ouchi.live.ovs.Switch`); ``failed``: why something is missing."""

    seconds: float
    whose: str
    pmds: tuple[PmdRate, ...]
    ports: tuple[PortRate, ...]
    guests: tuple[GuestRate, ...]
    failed: tuple[str, ...]


def rates(live: Live, earlier: Live | None = None) -> Rates:
    """Return the rates since an earlier reading, without one those of the sample within this one.

    The earlier one counts for the counters of Open vSwitch; vCPU threads always have those of the sample. A port or
    thread that is new, or that counts from zero again, has rates from its next reading on.
    """
    counters = live.counters
    if earlier and live.uptime > earlier.uptime:
        seconds, ports, pmds = live.uptime - earlier.uptime, earlier.counters.after, earlier.counters.pmds_after
    else:
        seconds, ports, pmds = live.seconds, counters.before, counters.pmds_before
    bridges = {port.name: port.bridge for port in live.switch.ports}
    queues = [queue.cpu for queue in live.switch.queues]
    found = []
    for cpu, now in sorted(counters.pmds_after.items()):
        if (then := pmds.get(cpu)) and seconds > 0 and now.busy >= then.busy and now.idle >= then.idle:
            busy, idle = now.busy - then.busy, now.idle - then.idle
            share = busy / (busy + idle) if busy + idle else 0.0
            packets = max(0, now.packets - then.packets) / seconds
            found.append(PmdRate(cpu, now.node, share, packets, queues.count(cpu)))
    return Rates(
        seconds,
        live.switch.whose,
        tuple(found),
        tuple(
            _port(port, ports[name], bridges.get(name, ""), seconds)
            for name, port in sorted(counters.after.items())
            if name in ports and seconds > 0
        ),
        _guests(live),
        tuple(dict.fromkeys((*live.missing.values(), *live.switch.failed.values(), *counters.failed.values()))),
    )


def _port(now: PortCounters, then: PortCounters, bridge: str, seconds: float) -> PortRate:
    def rate(member: str, factor: int = 1) -> float | None:
        last, first = getattr(now, member), getattr(then, member)
        return None if last is None or first is None or last < first else (last - first) * factor / seconds

    return PortRate(
        now.name,
        now.kind,
        bridge,
        rate("rx_packets"),
        rate("tx_packets"),
        rate("rx_bytes", 8),
        rate("tx_bytes", 8),
        rate("rx_dropped"),
        rate("tx_dropped"),
    )


def _guests(live: Live) -> tuple[GuestRate, ...]:
    found = []
    for guest in live.guests:
        if guest.ours:
            threads = [thread.tid for thread in live.threads if thread.pid == guest.pid and thread.vcpu]
            run = sum(live.scheduling[tid].run for tid in threads if tid in live.scheduling)
            used = run / 1e9 / live.seconds if live.seconds else 0.0
            found.append(GuestRate(guest.name, len(threads), used, guest.hugepages_mib))
    return tuple(sorted(found, key=lambda guest: guest.name))
