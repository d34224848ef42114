"""Rates: packets per second, bits per second on L1 and L2, and percent of line rate.

Frame sizes are in bytes and include the 4 bytes of FCS and any VLAN tags. On the wire each frame also takes 7 bytes
of preamble, 1 of start-of-frame delimiter and at least 12 of gap (IEEE 802.3): that is the difference between L1 and
L2 figures.
"""

from __future__ import annotations

import re

from ouchi.core.errors import BadInput

PREAMBLE_AND_GAP = 20
FCS = 4
MAX_PPS = 1e9
"""The highest rate that is accepted, with or without a line."""

_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_RATE = re.compile(
    r"(?P<number>\d+(\.\d+)?|\.\d+)\s*((?P<scale>[kmg]?)(?P<unit>pps|bps(l[12])?)|(?P<percent>%))", re.IGNORECASE
)
_ROUNDING = 1e-9  # of a rate: 100 % and 10GbpsL1 must not exceed the line by floating point rounding


def l1_bits(pps: float, size: float) -> float:
    """Bit/s on the wire, with preamble and gap, of ``pps`` frames of (mean) ``size`` bytes."""
    return pps * (size + PREAMBLE_AND_GAP) * 8


def l2_bits(pps: float, size: float) -> float:
    """Bit/s of the frames alone."""
    return pps * size * 8


def line_rate(bits_per_second: float, size: float) -> float:
    """Line rate: frames of ``size`` bytes per second on a line of ``bits_per_second``."""
    return bits_per_second / ((size + PREAMBLE_AND_GAP) * 8)


def parse_rate(text: str, mean_size: float, line_bits: int | None, *, where: str = "rate") -> float:
    """The packets per second of a rate as the user wrote it.

    ``14.88Mpps``, ``500kpps``; ``3Gbps`` or ``3GbpsL2`` of frames; ``3GbpsL1`` on the wire; ``45%`` of the line.
    Case is ignored (M is always a million). ``mean_size`` is the mean frame in bytes; ``line_bits`` is
    the line's bit/s, None where there is no line (a virtual port).

    Raises :class:`BadInput` for invalid text, for zero, for more than line rate (without a line: than :data:`MAX_PPS`),
    and for percent where there is no line.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise _bad("this is not a rate", where, text)
    number = float(match["number"])
    line = None if line_bits is None else line_rate(line_bits, mean_size)
    if match["percent"]:
        if line is None:
            raise _bad("this path has no line rate to take a percentage of", where, text, "a rate in pps or bit/s")
        pps = line * number / 100
    else:
        bits = {"pps": 1.0, "bpsl1": l1_bits(1, mean_size)}  # of a frame, in the unit
        pps = number * _SCALE[match["scale"].lower()] / bits.get(match["unit"].lower(), l2_bits(1, mean_size))
    if pps <= 0:
        raise _bad("the rate is zero", where, text, "more than 0")
    if line is not None and pps > line * (1 + _ROUNDING):
        limit = f"at most {line:,.2f} pps: {line_bits:,} bit/s with frames of {mean_size:g} bytes"
        raise _bad("the rate exceeds line rate", where, f"{text} = {pps:,.2f} pps", limit)
    if pps > MAX_PPS:
        raise _bad("the rate is out of range", where, text, f"at most {MAX_PPS:,.0f} pps")
    return pps if line is None else min(pps, line)


def _bad(claim: str, where: str, found: str, expected: str = "") -> BadInput:
    forms = "14.88Mpps, 500kpps, 3Gbps (frames alone), 3GbpsL1 (on the wire) or 45% (of the line)"
    return BadInput.of(claim, where=where, found=found[:120], expected=expected or forms)
