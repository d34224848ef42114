"""The kernel's networking beside OVS-DPDK: the same searches through the kernel's bridge, and iperf3 across it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ouchi.dataplane import kernel_bench
from ouchi.dataplane.kernel_bench import Host
from ouchi.events import Say
from ouchi.instance import Instance
from ouchi.journal import Journal
from ouchi.machine import processes
from ouchi.machine.local import LocalMachine
from ouchi.measure.imix import genome
from ouchi.measure.iperf import Measured, measure_tcp, measure_udp
from ouchi.measure.opened import SERVICE, Setup
from ouchi.measure.recorded import Beside, Summary
from ouchi.measure.wish import Wish

SECONDS = 5
"""Of each of iperf3's measurements."""


CPUS = "with a CPU for OVS beside the generator's; the kernel forwards on the generator's own"


def kernel_wish(wish: Wish) -> Wish:
    """The same searches on the kernel's path."""
    return replace(wish, path_name="kernel", kernel=False, also=(), rates=())


def compared(ours: Sequence[Summary], kernels: Sequence[Summary]) -> list[Beside]:
    """How many times as much OVS-DPDK carried: same frames, same flows, same goal, medians of the repeats."""
    rows = []
    other = {(row.size, row.goal): row.median_pps for row in kernels}
    for row in ours:
        pps = other.get((row.size, row.goal))
        what = f"{row.goal} through the kernel's bridge"
        if pps and row.median_pps:
            ratio = row.median_pps / pps
            said = f"OVS-DPDK carries {ratio:.1f} times as much, {CPUS}"
            rows.append(Beside(row.size, what, pps, said, {"ratio": ratio}))
        else:
            rows.append(Beside(row.size, what, pps, "no ratio: a rate was not found on both paths"))
    return rows


def iperf_rows(
    machine: LocalMachine, instance: Instance, setup: Setup, sizes: Sequence[str], say: Say
) -> Iterator[Beside]:
    """iperf3 between two hosts on the same bridge: TCP once, UDP at each frame size that is one size."""
    folder = f"{instance.run}/bench"
    env = {**instance.environment, processes.SERVICE_MARK: SERVICE}
    cpus = (setup.cpus.workers[0], setup.cpus.main)
    with _hosts(machine, instance, setup.mtu) as hosts:
        say(f"iperf3 TCP, {SECONDS} s")
        yield _tcp(measure_tcp(machine, hosts, folder, seconds=SECONDS, cpus=cpus, env=env))
        for size in sizes:
            if len(set(genome(size).sizes)) == 1:
                say(f"iperf3 UDP, {size} B, {SECONDS} s")
                frame = genome(size).sizes[0]
                yield _udp(
                    size, measure_udp(machine, hosts, folder, frame_size=frame, seconds=SECONDS, cpus=cpus, env=env)
                )


@contextmanager
def _hosts(machine: LocalMachine, instance: Instance, mtu: int) -> Iterator[tuple[Host, Host]]:
    journal = Journal(machine, instance.state)
    try:
        yield kernel_bench.build_hosts(machine, journal, instance, mtu=mtu)
    finally:
        kernel_bench.remove(machine, journal, instance)


def _tcp(found: Measured) -> Beside:
    said = f"{found.received_bps / 1e9:.2f} Gbit/s of payload; segments of up to 64 KiB cross the bridge, so no packet rate"
    return Beside("", "iperf3 TCP through the kernel's bridge, one way", None, said, found.to_json())


def _udp(size: str, found: Measured) -> Beside:
    share = (found.lost or 0) / found.sent if found.sent else 0.0
    # Every frame comes through the bridge: what is missing did not fit into the receiver's socket.
    said = f"received of what one sender sent as fast as it could; {share:.1%} dropped at the receiver's socket"
    return Beside(size, "iperf3 UDP through the kernel's bridge, one way", found.received_pps, said, found.to_json())
