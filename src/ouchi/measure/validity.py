"""When a trial proves nothing: the rules, each a sentence about what went wrong.

A trial that breaks one is invalid: it is evidence neither for nor against its rate. The limits are what a sound
generator on a quiet machine keeps with ease; they are not there to be tuned until a trial passes.
"""

from __future__ import annotations

from collections.abc import Iterable

from ouchi.measure.rates import PREAMBLE_AND_GAP
from ouchi.measure.trial import StreamResult, Trial

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


def problems(
    trial: Trial, *, line_bits: float | None = None, burst: int = 32, ring: int = 1024, rate: float = RATE
) -> tuple[str, ...]:
    """Why ``trial`` proves nothing; empty for a valid trial.

    ``line_bits``: bit/s on the wire of each sending port, None where there is no wire. ``burst``: packets that the
    generator hands over at once, by which a count may be off. ``ring``: packets that a receiving ring holds while
    the generator's core is held up. ``rate``: the share by which the rate may be missed and packets stay unsent.
    """
    return (
        *_above_line(trial, line_bits, burst),
        *_received_more(trial),
        *_stretched(trial),
        *_unsent(trial, burst, rate),
        *_rate_missed(trial, burst, rate),
        *_stalled(trial, ring),
        *_foreign(trial),
        *_corrupt(trial),
    )


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


def _stretched(trial: Trial) -> tuple[str, ...]:
    if abs(trial.seconds - trial.intended_seconds) <= STRETCH * trial.intended_seconds + STRETCH_SECONDS:
        return ()
    return (f"sending took {trial.seconds:.6g} s instead of {trial.intended_seconds:.6g} s",)


def _unsent(trial: Trial, burst: int, rate: float) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {stream.unsent:,} of {stream.intended:,} packets were not sent"
        for stream in trial.streams
        if not stream.sent or stream.unsent > rate * stream.intended + burst
    )


def _rate_missed(trial: Trial, burst: int, rate: float) -> tuple[str, ...]:
    expected = trial.intended_pps * trial.seconds
    if abs(trial.attempted - expected) <= rate * expected + burst * len(trial.streams):
        return ()
    achieved = trial.attempted / trial.seconds if trial.seconds > 0 else 0.0
    return (f"the generator reached {achieved:,.0f} pps of {trial.intended_pps:,.0f} pps",)


def _stalled(trial: Trial, ring: int) -> tuple[str, ...]:
    """A stall matters when packets were lost and more of a stream arrive in it than a ring holds.

    The core that stalls is the one that receives: its ring overflows and the loss is the generator's. Without loss
    the trial shows what it seems to show.
    """
    each = trial.intended_pps / max(1, len(trial.streams))
    due = trial.stalls.longest_us / 1e6 * each
    if due <= ring or not any(stream.lost > 0 for stream in trial.streams):
        return ()
    longest = f"{trial.stalls.longest_us:,.0f} µs"
    return (f"the generator stalled for {longest}, in which {due:,.0f} packets came due (a ring holds {ring:,})",)


def _foreign(trial: Trial) -> tuple[str, ...]:
    if trial.foreign <= FOREIGN * trial.received + FOREIGN_FRAMES:
        return ()
    return (f"{trial.foreign:,} frames of others were received beside {trial.received:,} of ours",)


def _corrupt(trial: Trial) -> tuple[str, ...]:
    return tuple(
        f"{stream.stream}: {stream.corrupt:,} packets came back changed" for stream in trial.streams if stream.corrupt
    )
