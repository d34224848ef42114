"""Validity rules of a trial; each broken rule is a sentence.

An *invalid* trial is evidence neither for nor against its rate. An *under-offered* one sent less than intended: its
loss counts against the rate, the absence of loss proves nothing. In a *tester-suspect* one the generator may have lost
frames itself. A working generator on an idle machine keeps the limits easily; they are not to be tuned until a trial
passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ouchi.measure.generator.process import BURST
from ouchi.measure.generator.rates import PREAMBLE_AND_GAP
from ouchi.measure.search.trial import StreamResult, Trial

CLOCK = 100e-6
"""Tolerance of Ethernet clocks (IEEE 802.3: ±100 ppm), and so of line rate."""
RATE = 0.001
"""Tolerance of the rate sent, and of unsent frames: 0.1 %."""
DURATION = 0.005
"""Tolerance of the sending time: 0.5 % and :data:`DURATION_SECONDS`."""
DURATION_SECONDS = 0.001
FOREIGN = 0.001
"""Tolerance of foreign frames: 0.1 % of those received and :data:`FOREIGN_FRAMES` (neighbour discovery and the like)."""
FOREIGN_FRAMES = 100


def assess(trial: Trial, *, line_bits: float | None = None, ring: int = 1024) -> Trial:
    """The trial with its broken rules.

    A stalled worker receives nothing: frames of a stream beyond what the RX ring holds are then lost in the tester. A
    trial without loss is not suspect.

    ``line_bits``: bit/s on the wire of each TX port, None without a wire. ``ring``: frames that an RX ring holds. Counts
    may differ by the frames that the generator sends at once.
    """
    each = trial.intended_pps / max(1, len(trial.streams))
    overflow = _overflow(trial, each, ring)
    streams = tuple(replace(stream, rx_overrun_suspect=min(max(0, stream.lost), overflow)) for stream in trial.streams)
    tester_suspect: tuple[str, ...] = ()
    if any(stream.rx_overrun_suspect for stream in streams):
        longest, due = trial.stalls.longest_us, trial.stalls.longest_us / 1e6 * each
        tester_suspect = (
            f"the generator stalled for {longest:,.0f} µs, in which {due:,.0f} packets arrived (the RX ring holds {ring:,})",
        )
    return replace(
        trial,
        streams=streams,
        tester_suspect=tester_suspect,
        under_offered=tuple(_under_offered(trial)),
        invalid=tuple(_invalid(trial, line_bits)),
    )


def _overflow(trial: Trial, pps: float, ring: int) -> int:
    """Frames of a stream that arrived in stalls beyond what the ring holds."""
    stalls = trial.stalls
    over = sum(max(0.0, micros / 1e6 * pps - ring) * count for micros, count in stalls.histogram)
    return math.ceil(max(over, stalls.longest_us / 1e6 * pps - ring, 0.0))


def different_sizes(sizes: Iterable[float | str]) -> tuple[str, ...]:
    """Why figures of these frame sizes (bytes or names of a mix) are not comparable; empty when all are the same.

    Packet and bit rates of different frame sizes have no meaningful ratio.
    """
    different = sorted({str(size) for size in sizes})
    return () if len(different) < 2 else (f"frames of {' and '.join(different)} bytes are not comparable",)


def _invalid(trial: Trial, line_bits: float | None) -> Iterator[str]:
    if line_bits is not None and trial.seconds > 0:
        yield from _above_line(trial, line_bits)
    for stream in trial.streams:
        if stream.lost < 0:
            yield f"{stream.stream}: {-stream.lost:,} more packets received than sent"
    if trial.intended_seconds - trial.seconds > _tolerance(trial):
        yield _took(trial)
    for stream in trial.streams:
        if not stream.sent:
            yield f"{stream.stream}: none of {stream.intended:,} packets were sent"
    if trial.attempted > _expected(trial) + _margin(trial):
        yield _reached(trial)
    if trial.foreign > FOREIGN * trial.received + FOREIGN_FRAMES:
        yield f"{trial.foreign:,} foreign frames were received, and {trial.received:,} of the generator"
    for stream in trial.streams:
        if stream.corrupt:
            yield f"{stream.stream}: {stream.corrupt:,} packets were received with a corrupt signature"


def _under_offered(trial: Trial) -> Iterator[str]:
    if trial.seconds - trial.intended_seconds > _tolerance(trial):
        yield _took(trial)
    for stream in trial.streams:
        if stream.sent and stream.unsent - stream.tx_backpressure > RATE * stream.intended + BURST:
            yield f"{stream.stream}: {stream.unsent:,} of {stream.intended:,} packets were not sent"
    # Frames that met backpressure were offered in time.
    if trial.attempted < _expected(trial) - _margin(trial) and not trial.tx_backpressure:
        yield _reached(trial)


def _above_line(trial: Trial, line_bits: float) -> Iterator[str]:
    for port in dict.fromkeys(stream.tx_port for stream in trial.streams):
        from_port = [stream for stream in trial.streams if stream.tx_port == port]
        bits = sum(stream.sent * _wire_bits(stream) for stream in from_port)
        slack = BURST * max(_wire_bits(stream) for stream in from_port)
        if bits - slack > line_bits * trial.seconds * (1 + CLOCK):
            yield f"{port} counted {bits / trial.seconds:,.0f} bit/s sent on a line of {line_bits:,.0f} bit/s"


def _wire_bits(stream: StreamResult) -> float:
    return (stream.size + PREAMBLE_AND_GAP) * 8


def _tolerance(trial: Trial) -> float:
    return DURATION * trial.intended_seconds + DURATION_SECONDS


def _took(trial: Trial) -> str:
    return f"sending took {trial.seconds:.6g} s instead of {trial.intended_seconds:.6g} s"


def _expected(trial: Trial) -> float:
    return trial.intended_pps * trial.seconds


def _margin(trial: Trial) -> float:
    return RATE * _expected(trial) + BURST * len(trial.streams)


def _reached(trial: Trial) -> str:
    achieved = trial.attempted / trial.seconds if trial.seconds > 0 else 0.0
    return f"the generator reached {achieved:,.0f} pps of {trial.intended_pps:,.0f} pps"
