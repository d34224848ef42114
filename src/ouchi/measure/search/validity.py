"""When a trial proves nothing, nothing good, or leaves doubt: the rules, each a sentence about what went wrong.

A trial with a *problem* is evidence neither for nor against its rate. One with a *shortfall* offered less than it was
asked to: what it lost is evidence against the rate all the same, what it did not lose proves nothing. One with a
*doubt* lost packets that the generator may have lost itself. The limits are what a sound generator on a quiet machine
keeps with ease; they are not there to be tuned until a trial passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from ouchi.measure.generator.rates import PREAMBLE_AND_GAP
from ouchi.measure.search.trial import StreamResult, Trial

CLOCK = 100e-6
"""How far an Ethernet clock may be off (IEEE 802.3: ±100 ppm), and so a port from its nominal line rate."""
RATE = 0.001
"""How far the rate sent may be from the rate asked for: 0.1 %."""
STRETCH = 0.005
"""How far the sending time may be from the time asked for: 0.5 % and :data:`STRETCH_SECONDS`."""
STRETCH_SECONDS = 0.001
FOREIGN = 0.001
"""Frames of others that may be received: 0.1 % of ours and :data:`FOREIGN_FRAMES` (neighbour discovery and the like)."""
FOREIGN_FRAMES = 100


def judged(
    trial: Trial, *, line_bits: float | None = None, burst: int = 32, ring: int = 1024, rate: float = RATE
) -> Trial:
    """The trial with its problems, its shortfalls, and its doubts where the generator may have lost something itself.

    A core of the generator's that is away receives nothing: more of a stream than a ring holds is lost then, and the
    loss is its own. Without loss the trial shows what it seems to show.

    ``line_bits``: bit/s on the wire of each sending port, None where there is no wire. ``burst``: packets that the
    generator hands over at once, by which a count may be off. ``ring``: packets that a receiving ring holds while
    the generator's core is held up. ``rate``: the share by which the rate may be missed and packets stay unsent.
    """
    each = trial.intended_pps / max(1, len(trial.streams))
    overflow = _overflow(trial, each, ring)
    streams = tuple(replace(stream, doubtful=min(max(0, stream.lost), overflow)) for stream in trial.streams)
    doubts: tuple[str, ...] = ()
    if any(stream.doubtful for stream in streams):
        longest, due = trial.stalls.longest_us, trial.stalls.longest_us / 1e6 * each
        doubts = (
            f"the generator stalled for {longest:,.0f} µs, in which {due:,.0f} packets came due (a ring holds {ring:,})",
        )
    return replace(
        trial,
        streams=streams,
        doubts=doubts,
        shortfalls=(*_longer(trial), *_unsent(trial, burst, rate), *_slow(trial, burst, rate)),
        problems=(
            *_above_line(trial, line_bits, burst),
            *_received_more(trial),
            *_shorter(trial),
            *_nothing_sent(trial),
            *_fast(trial, burst, rate),
            *_foreign(trial),
            *_corrupt(trial),
        ),
    )


def _overflow(trial: Trial, pps: float, ring: int) -> int:
    """How many packets of a stream came due in stalls beyond what a ring holds."""
    stalls = trial.stalls
    over = sum(max(0.0, micros / 1e6 * pps - ring) * count for micros, count in stalls.histogram)
    return math.ceil(max(over, stalls.longest_us / 1e6 * pps - ring, 0.0))


def unequal_sizes(sizes: Iterable[float | str]) -> tuple[str, ...]:
    """The reason not to compare figures of these frame sizes (bytes or names of a mix); empty when all are the same.

    A packet rate or a bit rate says nothing about another frame size, so no ratio across sizes is ever made.
    """
    different = sorted({str(size) for size in sizes})
    return () if len(different) < 2 else (f"frames of {' and '.join(different)} bytes are not comparable",)


def _above_line(trial: Trial, line_bits: float | None, burst: int) -> tuple[str, ...]:
    if line_bits is None or trial.seconds <= 0:
        return ()
    found = []
    for port in dict.fromkeys(stream.sent_from for stream in trial.streams):
        from_port = [stream for stream in trial.streams if stream.sent_from == port]
        bits = sum(stream.sent * _wire_bits(stream) for stream in from_port)
        slack = burst * max(_wire_bits(stream) for stream in from_port)
        if bits - slack > line_bits * trial.seconds * (1 + CLOCK):
            found.append(f"{port} counts {bits / trial.seconds:,.0f} bit/s sent on a line of {line_bits:,.0f} bit/s")
    return tuple(found)


def _wire_bits(stream: StreamResult) -> float:
    return (stream.size + PREAMBLE_AND_GAP) * 8


def _received_more(trial: Trial) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {-stream.lost:,} more packets received than sent"
        for stream in trial.streams
        if stream.lost < 0
    )


def _longer(trial: Trial) -> tuple[str, ...]:
    return _took(trial) if trial.seconds - trial.intended_seconds > _tolerance(trial) else ()


def _shorter(trial: Trial) -> tuple[str, ...]:
    return _took(trial) if trial.intended_seconds - trial.seconds > _tolerance(trial) else ()


def _tolerance(trial: Trial) -> float:
    return STRETCH * trial.intended_seconds + STRETCH_SECONDS


def _took(trial: Trial) -> tuple[str, ...]:
    return (f"sending took {trial.seconds:.6g} s instead of {trial.intended_seconds:.6g} s",)


def _nothing_sent(trial: Trial) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: none of {stream.intended:,} packets were sent" for stream in trial.streams if not stream.sent
    )


def _unsent(trial: Trial, burst: int, rate: float) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {stream.unsent:,} of {stream.intended:,} packets were not sent"
        for stream in trial.streams
        if stream.sent and stream.unsent - stream.refused > rate * stream.intended + burst
    )


def _slow(trial: Trial, burst: int, rate: float) -> tuple[str, ...]:
    # What was refused was offered in its time.
    missed = trial.attempted < _expected(trial) - _margin(trial, burst, rate) and not trial.refused
    return _reached(trial) if missed else ()


def _fast(trial: Trial, burst: int, rate: float) -> tuple[str, ...]:
    return _reached(trial) if trial.attempted > _expected(trial) + _margin(trial, burst, rate) else ()


def _expected(trial: Trial) -> float:
    return trial.intended_pps * trial.seconds


def _margin(trial: Trial, burst: int, rate: float) -> float:
    return rate * _expected(trial) + burst * len(trial.streams)


def _reached(trial: Trial) -> tuple[str, ...]:
    achieved = trial.attempted / trial.seconds if trial.seconds > 0 else 0.0
    return (f"the generator reached {achieved:,.0f} pps of {trial.intended_pps:,.0f} pps",)


def _foreign(trial: Trial) -> tuple[str, ...]:
    if trial.foreign <= FOREIGN * trial.received + FOREIGN_FRAMES:
        return ()
    return (f"{trial.foreign:,} frames of others were received beside {trial.received:,} of ours",)


def _corrupt(trial: Trial) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {stream.corrupt:,} packets came back changed" for stream in trial.streams if stream.corrupt
    )
