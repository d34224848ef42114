"""Validity rules of a trial; each broken rule is a sentence.

An *invalid* trial is evidence neither for nor against its rate. An *under-offered* one sent less than intended: its
loss counts against the rate, the absence of loss proves nothing. In a *tester-suspect* one the generator may have lost
frames itself. A working generator on an idle machine keeps the limits easily; they are not to be tuned until a trial
passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from ouchi.measure.generator.rates import PREAMBLE_AND_GAP
from ouchi.measure.search.trial import StreamResult, Trial

CLOCK = 100e-6
"""Tolerance of Ethernet clocks (IEEE 802.3: ±100 ppm), and so of line rate."""
RATE = 0.001
"""Tolerance of the rate sent: 0.1 %."""
DURATION = 0.005
"""Tolerance of the sending time: 0.5 % and :data:`DURATION_SECONDS`."""
DURATION_SECONDS = 0.001
FOREIGN = 0.001
"""Tolerance of foreign frames: 0.1 % of those received and :data:`FOREIGN_FRAMES` (neighbour discovery and the like)."""
FOREIGN_FRAMES = 100

Broken = tuple[str, ...]
"""Broken rules, a sentence each."""


def assess(
    trial: Trial, *, line_bits: float | None = None, burst: int = 32, ring: int = 1024, rate: float = RATE
) -> Trial:
    """The trial with its broken rules.

    A stalled worker receives nothing: frames of a stream beyond what the RX ring holds are then lost in the tester. A
    trial without loss is not suspect.

    ``line_bits``: bit/s on the wire of each TX port, None without a wire. ``burst``: frames that the generator sends at
    once, by which counts may differ. ``ring``: frames that an RX ring holds. ``rate``: tolerance of the rate, and of
    unsent frames.
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
    shorter, longer = _wrong_duration(trial)
    fast, slow = _wrong_rate(trial, burst, rate)
    return replace(
        trial,
        streams=streams,
        tester_suspect=tester_suspect,
        under_offered=(*longer, *_unsent(trial, burst, rate), *slow),
        invalid=(
            *_above_line(trial, line_bits, burst),
            *_received_more(trial),
            *shorter,
            *_nothing_sent(trial),
            *fast,
            *_foreign(trial),
            *_corrupt(trial),
        ),
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


def _above_line(trial: Trial, line_bits: float | None, burst: int) -> tuple[str, ...]:
    if line_bits is None or trial.seconds <= 0:
        return ()
    found = []
    for port in dict.fromkeys(stream.tx_port for stream in trial.streams):
        from_port = [stream for stream in trial.streams if stream.tx_port == port]
        bits = sum(stream.sent * _wire_bits(stream) for stream in from_port)
        slack = burst * max(_wire_bits(stream) for stream in from_port)
        if bits - slack > line_bits * trial.seconds * (1 + CLOCK):
            found.append(f"{port} counted {bits / trial.seconds:,.0f} bit/s sent on a line of {line_bits:,.0f} bit/s")
    return tuple(found)


def _wire_bits(stream: StreamResult) -> float:
    return (stream.size + PREAMBLE_AND_GAP) * 8


def _received_more(trial: Trial) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {-stream.lost:,} more packets received than sent"
        for stream in trial.streams
        if stream.lost < 0
    )


def _wrong_duration(trial: Trial) -> tuple[Broken, Broken]:
    """Sending was too short; it was too long."""
    over, tolerance = trial.seconds - trial.intended_seconds, DURATION * trial.intended_seconds + DURATION_SECONDS
    text = (f"sending took {trial.seconds:.6g} s instead of {trial.intended_seconds:.6g} s",)
    return text if -over > tolerance else (), text if over > tolerance else ()


def _nothing_sent(trial: Trial) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: none of {stream.intended:,} packets were sent" for stream in trial.streams if not stream.sent
    )


def _unsent(trial: Trial, burst: int, rate: float) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {stream.unsent:,} of {stream.intended:,} packets were not sent"
        for stream in trial.streams
        if stream.sent and stream.unsent - stream.tx_backpressure > rate * stream.intended + burst
    )


def _wrong_rate(trial: Trial, burst: int, rate: float) -> tuple[Broken, Broken]:
    """The generator was too fast; it was too slow."""
    expected = trial.intended_pps * trial.seconds
    margin = rate * expected + burst * len(trial.streams)
    achieved = trial.attempted / trial.seconds if trial.seconds > 0 else 0.0
    text = (f"the generator reached {achieved:,.0f} pps of {trial.intended_pps:,.0f} pps",)
    # Frames that met backpressure were offered in time.
    slow = trial.attempted < expected - margin and not trial.tx_backpressure
    return text if trial.attempted > expected + margin else (), text if slow else ()


def _foreign(trial: Trial) -> tuple[str, ...]:
    if trial.foreign <= FOREIGN * trial.received + FOREIGN_FRAMES:
        return ()
    return (f"{trial.foreign:,} foreign frames were received, and {trial.received:,} of the generator",)


def _corrupt(trial: Trial) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {stream.corrupt:,} packets were received with a corrupt signature"
        for stream in trial.streams
        if stream.corrupt
    )
