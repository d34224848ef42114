"""The kernel's networking beside OVS-DPDK: the same searches through the kernel's bridge, and iperf3 across it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ouchi.core.events import Say
from ouchi.core.instance import Instance
from ouchi.machine import processes
from ouchi.machine.background import Launcher
from ouchi.measure.generator.imix import genome
from ouchi.measure.paths import kernel_bridge as kernel_bench
from ouchi.measure.paths.kernel_bridge import Host
from ouchi.measure.paths.open import SERVICE, Setup
from ouchi.measure.request import Wish
from ouchi.measure.runs.iperf import Measured, measure_tcp, measure_udp
from ouchi.measure.runs.model import Beside, Result, Summary, summarise
from ouchi.plan import Plan
from ouchi.steps.journal import Journal

SECONDS = 5
"""Of each of iperf3's measurements."""


def kernel_wish(wish: Wish) -> Wish:
    """The same searches on the kernel's path."""
    return replace(wish, path_name="kernel", kernel=False, also=(), rates=())


def compared(ours: Sequence[Result], kernels: Sequence[Result], setup: Setup, plan: Plan) -> list[Beside]:
    """How many times as much OVS-DPDK carried: same frames, same flows, same goal, medians of the repeats.

    The rates are those that were shown to be without too much loss: where a search did not end, more may be possible.
    """
    theirs = {(row.size, row.goal): row for row in summarise(kernels)}
    cpus = _cpus(setup, plan)
    return [
        _compared(row, theirs[row.size, row.goal], f"{_searches(row, ours, kernels)}; {cpus}")
        for row in summarise(ours)
        if (row.size, row.goal) in theirs
    ]


def _compared(ours: Summary, kernels: Summary, said: str) -> Beside:
    what = f"{ours.goal} through the kernel's bridge"
    if not kernels.median_pps or not ours.median_pps:
        return Beside(ours.size, what, kernels.median_pps, "no ratio: a rate was not found on both paths")
    ratio = ours.median_pps / kernels.median_pps
    figures = {"ratio": ratio, "ours_pps": ours.median_pps, "n": ours.n, "kernel_n": kernels.n}
    return Beside(ours.size, what, kernels.median_pps, f"OVS-DPDK carries {ratio:.1f} times as much, {said}", figures)


def _searches(row: Summary, ours: Sequence[Result], kernels: Sequence[Result]) -> str:
    """How many searches found a rate on each path, and how many of those left a bound open."""
    told = []
    for results in (ours, kernels):
        bounds = [one for each in results if each.size == row.size for one in each.bounds if one.goal.name == row.goal]
        found = [one for one in bounds if one.lower_pps is not None]
        opened = sum(not one.narrow for one in found)
        told.append(f"{len(found)} of {len(bounds)} searches" + (f" ({opened} left a bound open)" if opened else ""))
    return f"medians of the rates found in {told[0]} and {told[1]}"


def _cpus(setup: Setup, plan: Plan) -> str:
    pmds, workers = len(plan.pools.pmd), len(setup.cpus.workers)
    polling = "a CPU" if pmds == 1 else f"{pmds} CPUs"
    return (
        f"OVS has {polling} beside the generator's {workers}; the kernel does its work, packet sockets included, on the "
        "generator's own"
    )


def iperf_rows(machine: Launcher, instance: Instance, setup: Setup, sizes: Sequence[str], say: Say) -> Iterator[Beside]:
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
def _hosts(machine: Launcher, instance: Instance, mtu: int) -> Iterator[tuple[Host, Host]]:
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
    said = (
        f"received of what one sender sent as fast as it could; {share:.1%} lost on the way or at the receiver's socket"
    )
    return Beside(size, "iperf3 UDP through the kernel's bridge, one way", found.received_pps, said, found.to_json())
