"""OVS-DPDK compared with the kernel: the same searches through the kernel's bridge, and iperf3 across it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict

from ouchi.clients import iperf
from ouchi.core.errors import BadInput, Failed
from ouchi.core.events import Notify
from ouchi.core.instance import Instance
from ouchi.machine import processes
from ouchi.machine.background import Launcher
from ouchi.measure.generator.imix import MIN_SIZE
from ouchi.measure.generator.rates import FCS, l2_bits
from ouchi.measure.paths.cpus import Placement
from ouchi.measure.paths.kernel_bridge import KernelBridge
from ouchi.measure.paths.open import SERVICE
from ouchi.measure.request import BenchRequest
from ouchi.measure.runs.model import ExtraResult, Result, Summary, summarise
from ouchi.plan import Plan

SECONDS = 5
"""Of each iperf3 measurement."""

_ETHERNET, _IPV4, _UDP = 14, 20, 8  # bytes of headers


def compare_results(
    ours: Sequence[Result], kernel: Sequence[Result], placement: Placement, plan: Plan
) -> list[ExtraResult]:
    """The ratio of OVS-DPDK's rate to the kernel's for each size and goal: medians of the lower bounds."""
    summaries = {(row.size, row.goal): row for row in summarise(kernel)}
    cpus = _cpus_text(placement, plan)
    return [
        _ratio(row, summaries[row.size, row.goal], f"{_searches_text(row, ours, kernel)}; {cpus}")
        for row in summarise(ours)
        if (row.size, row.goal) in summaries
    ]


def iperf_results(
    machine: Launcher, instance: Instance, request: BenchRequest, placement: Placement, say: Notify
) -> Iterator[ExtraResult]:
    """iperf3 between two namespaces on the same bridge: TCP once, UDP at each frame size that is no mix."""
    env = {**instance.environment, processes.SERVICE_MARK: SERVICE}
    bridge = KernelBridge(machine, instance, request.mtu)
    with ExitStack() as cleanup:
        cleanup.callback(bridge.remove)
        client, server = bridge.create_hosts()
        client_prefix = (*client.prefix, *_pinned(placement.workers[0]))
        server_prefix = (*server.prefix, *_pinned(placement.main))
        log = f"{instance.run}/bench/iperf3.log"
        say(f"iperf3 TCP, {SECONDS} s")
        with iperf.one_server(machine, server_prefix, server.address, log=log, env=env):
            yield _tcp(iperf.measure_tcp(machine, client_prefix, server.address, seconds=SECONDS, env=env))
        for size in request.sizes:
            frames = set(request.template.sizes(size))
            if len(frames) == 1:
                (frame,) = frames
                say(f"iperf3 UDP, {size} B, {SECONDS} s")
                payload = udp_payload(frame, request.mtu)
                with iperf.one_server(machine, server_prefix, server.address, log=log, env=env):
                    result = iperf.measure_udp(
                        machine, client_prefix, server.address, seconds=SECONDS, payload_bytes=payload, env=env
                    )
                yield udp_result(size, result, frame)


def udp_payload(frame: int, mtu: int) -> int:
    """The payload of a UDP datagram in a frame of so many bytes with FCS. Raises BadInput."""
    largest = mtu + _ETHERNET + FCS
    if not MIN_SIZE <= frame <= largest:
        expected = f"{MIN_SIZE} to {largest} bytes: MTU {mtu}, Ethernet header and FCS"
        raise BadInput.of(
            "the frame size is out of range here", where="frame size", found=str(frame), expected=expected
        )
    return frame - FCS - _ETHERNET - _IPV4 - _UDP


def udp_result(size: str, result: iperf.UdpResult, frame: int) -> ExtraResult:
    """The line about UDP. Raises Failed when iperf3 sent frames of another size."""
    sent_frame = result.payload_bytes + FCS + _ETHERNET + _IPV4 + _UDP
    if sent_frame != frame:
        claim = "iperf3 sent frames of another size"
        raise Failed.of(claim, found=f"{sent_frame} bytes", expected=f"{frame} bytes")
    pps = result.received / result.seconds if result.seconds else None
    share = result.lost / result.sent if result.sent else 0.0
    text = f"received of one unpaced sender; {share:.1%} lost on the path or at the receiver's socket"
    figures = {"protocol": "udp", "frame_size": frame, **asdict(result), "received_bps": l2_bits(pps or 0.0, frame)}
    return ExtraResult(size, "iperf3 UDP through the kernel's bridge, one way", pps, text, figures)


def _tcp(result: iperf.TcpResult) -> ExtraResult:
    text = f"{result.received_bps / 1e9:.2f} Gbit/s of payload; no packet rate, as segments of up to 64 KiB cross the bridge"
    figures: Mapping[str, object] = {"protocol": "tcp", **asdict(result)}
    return ExtraResult("", "iperf3 TCP through the kernel's bridge, one way", None, text, figures)


def _ratio(ours: Summary, kernel: Summary, text: str) -> ExtraResult:
    name = f"{ours.goal} through the kernel's bridge"
    if not kernel.median_pps or not ours.median_pps:
        return ExtraResult(ours.size, name, kernel.median_pps, "no ratio: a rate was not found on both paths")
    ratio = ours.median_pps / kernel.median_pps
    figures = {"ratio": ratio, "ours_pps": ours.median_pps, "n": ours.n, "kernel_n": kernel.n}
    return ExtraResult(
        ours.size, name, kernel.median_pps, f"OVS-DPDK forwards {ratio:.1f} times as much, {text}", figures
    )


def _searches_text(row: Summary, ours: Sequence[Result], kernel: Sequence[Result]) -> str:
    """How many searches found a rate on each path, and how many of those have an open bound."""
    texts = []
    for results in (ours, kernel):
        bounds = [one for each in results if each.size == row.size for one in each.bounds if one.goal.name == row.goal]
        found = [one for one in bounds if one.lower_pps is not None]
        opened = sum(not one.narrow for one in found)
        texts.append(f"{len(found)} of {len(bounds)} searches" + (f" ({opened} with an open bound)" if opened else ""))
    return f"medians of the rates found in {texts[0]} and {texts[1]}"


def _cpus_text(placement: Placement, plan: Plan) -> str:
    pmds, workers = len(plan.pools.pmd), len(placement.workers)
    own = "a CPU" if pmds == 1 else f"{pmds} CPUs"
    return (
        f"OVS has {own} besides the generator's {workers}; the kernel's work, packet sockets included, runs on the "
        "generator's CPUs"
    )


def _pinned(cpu: int) -> tuple[str, ...]:
    return ("taskset", "--cpu-list", str(cpu))
