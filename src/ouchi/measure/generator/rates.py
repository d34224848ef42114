"""Rates: packets a second, bits a second with and without what Ethernet adds, percent of a line.

Frame sizes are in bytes and include the 4 bytes of FCS and any VLAN tags. On the wire each frame also takes 7 bytes
of preamble, 1 of start-of-frame delimiter and at least 12 of gap (IEEE 802.3): that is the difference between L1 and
L2 figures.
"""

from __future__ import annotations

import re

from ouchi.core.errors import BadInput, error

PREAMBLE_AND_GAP = 20
FCS = 4
MOST_PPS = 1e9
"""What nothing exceeds, line or no line."""

_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_RATE = re.compile(
    r"(?P<number>\d+(\.\d+)?|\.\d+)\s*((?P<scale>[kmg]?)(?P<unit>pps|bps(l[12])?)|(?P<percent>%))", re.IGNORECASE
)
_ROUNDING = 1e-9  # of a rate; 100 % and 10GbpsL1 must not exceed the line by their last binary digit


def l1_bits(pps: float, size: float) -> float:
    """Bit/s on the wire, preamble and gap included, of ``pps`` frames of ``size`` bytes (a mean is fine)."""
    return pps * (size + PREAMBLE_AND_GAP) * 8


def l2_bits(pps: float, size: float) -> float:
    """Bit/s of the frames alone."""
    return pps * size * 8


def line_rate(bits_per_second: float, size: float) -> float:
    """The most frames of ``size`` bytes a second that a line of ``bits_per_second`` carries."""
    return bits_per_second / ((size + PREAMBLE_AND_GAP) * 8)


def parse_rate(text: str, mean_size: float, line_bits: int | None, *, where: str = "rate") -> float:
    """What the user wrote as a rate, in packets a second.

    ``14.88Mpps``, ``500kpps``; ``3Gbps`` or ``3GbpsL2`` of frames; ``3GbpsL1`` on the wire; ``45%`` of the line.
    Capital letters do not matter (M is always a million). ``mean_size`` is the mean frame in bytes; ``line_bits`` is
    the line's bit/s, None where there is no line (a virtual port).

    Raises :class:`BadInput` for what is no rate, for zero, for more than the line carries (without a line: than
    :data:`MOST_PPS`), and for percent when there is no line.
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise _bad("this is no rate", where, text)
    number = float(match["number"])
    line = None if line_bits is None else line_rate(line_bits, mean_size)
    if match["percent"]:
        if line is None:
            raise _bad("there is no line to take a percentage of", where, text, "a rate in pps or bit/s")
        pps = line * number / 100
    else:
        pps = _per_second(number * _SCALE[match["scale"].lower()], match["unit"].lower(), mean_size)
    if pps <= 0:
        raise _bad("nothing would be sent at this rate", where, text, "more than 0")
    if line is not None and pps > line * (1 + _ROUNDING):
        most = f"at most {line:,.2f} pps: {line_bits:,} bit/s with frames of {mean_size:g} bytes"
        raise _bad("the line does not carry this rate", where, f"{text} = {pps:,.2f} pps", most)
    if pps > MOST_PPS:
        raise _bad("nothing sends at this rate", where, text, f"at most {MOST_PPS:,.0f} pps")
    return pps if line is None else min(pps, line)


def _per_second(amount: float, unit: str, mean_size: float) -> float:
    """Packets a second of an amount in ``pps``, ``bps``, ``bpsl1`` or ``bpsl2``."""
    if unit == "pps":
        return amount
    return amount / (l1_bits(1, mean_size) if unit == "bpsl1" else l2_bits(1, mean_size))


def _bad(claim: str, where: str, found: str, expected: str = "") -> BadInput:
    forms = "14.88Mpps, 500kpps, 3Gbps (frames alone), 3GbpsL1 (on the wire) or 45% (of the line)"
    return BadInput(error(claim, where=where, found=found[:120], expected=expected or forms))
