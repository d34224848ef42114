"""Figures as text: rates, shares, times and counts with their units, to four digits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit and its factor."""

    name: str
    size: float

    def text(self, value: float) -> str:
        """The value in this unit, without its name."""
        return f"{value / self.size:.6g}"


def rate_unit(max_pps: float) -> Unit:
    """The unit for rates up to ``max_pps``."""
    return next(
        unit
        for unit in (Unit("Mpps", 1e6), Unit("kpps", 1e3), Unit("pps", 1))
        if max_pps >= unit.size or unit.size == 1
    )


def rate_text(pps: float | None) -> str:
    """``2.714 Mpps``; a dash for None."""
    if pps is None:
        return "–"
    unit = rate_unit(abs(pps))
    return f"{digits(pps / unit.size)} {unit.name}"


def range_text(low_pps: float | None, high_pps: float | None, median_pps: float | None) -> str:
    """``2.701–2.722`` in the unit that :func:`rate_text` gives the median; a dash for None."""
    if low_pps is None or high_pps is None or median_pps is None:
        return "–"
    unit = rate_unit(median_pps)
    return f"{digits(low_pps / unit.size)}–{digits(high_pps / unit.size)}"


def bits_text(bits_per_second: float) -> str:
    """``1.82 Gbit/s``."""
    return _scaled(bits_per_second, (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)), "bit/s")


def time_text(ns: float | None) -> str:
    """``12.4 µs``; a dash for None."""
    return "–" if ns is None else _scaled(ns, (("s", 1e9), ("ms", 1e6), ("µs", 1e3)), "ns")


def _scaled(value: float, units: Iterable[tuple[str, float]], smallest: str) -> str:
    """The value in the first unit (name, factor) that it reaches, to three digits."""
    name, factor = next((unit for unit in units if value >= unit[1]), (smallest, 1.0))
    return f"{digits(value / factor, 3)} {name}"


def tick_time(ns: float) -> str:
    """A time without trailing zeros: ``10 µs``."""
    text, unit = time_text(ns).split(" ")
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {unit}"


def duration_text(seconds: float) -> str:
    """``90 s``, ``41 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def share_text(share: float) -> str:
    """``0.5 %``, without an exponent however small."""
    if not share:
        return "0 %"
    decimals = max(0, 1 - math.floor(math.log10(abs(share) * 100)))
    text = f"{share * 100:.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def digits(value: float, count: int = 4) -> str:
    """``value`` to so many significant digits, the integer part always complete."""
    if not value:
        return "0"
    decimals = max(0, count - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def count_text(count: int, one: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count:,} {one if count == 1 else one + 's'}"
