"""Scales of charts: positions of values on an axis (0 to 1), and tick labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ZERO_ROOM = 0.12
"""The share of a logarithmic axis below its smallest decade, for zero."""


@dataclass(frozen=True, slots=True)
class Scale:
    """``position`` maps a value to 0..1 (clamped); ``ticks`` are (value, text)."""

    position: Callable[[float], float]
    ticks: tuple[tuple[float, str], ...]


def linear(low: float, high: float, text: Callable[[float], str], *, count: int = 6) -> Scale:
    """A linear scale with about ``count`` ticks."""
    high = high if high > low else low + 1
    step = _step((high - low) / count)
    ticks = [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return Scale(lambda value: _clamped((value - low) / (high - low)), tuple((tick, text(tick)) for tick in ticks))


def decades(low: float, high: float, text: Callable[[float], str]) -> Scale:
    """A logarithmic scale over whole decades around ``low`` (above 0) and ``high``."""
    first = math.floor(math.log10(low) + 1e-9)
    last = max(first + 1, math.ceil(math.log10(max(high, low)) - 1e-9))
    stride = max(1, math.ceil((last - first) / 7))

    def position(value: float) -> float:
        return _clamped((math.log10(value) - first) / (last - first)) if value > 0 else 0.0

    powers = reversed(range(last, first - 1, -stride))
    return Scale(position, tuple((10.0**power, text(10.0**power)) for power in powers))


def decades_with_zero(low: float, high: float, text: Callable[[float], str]) -> Scale:
    """As :func:`decades`, with 0 (and less) at the lower end."""
    above = decades(low, high, text)

    def position(value: float) -> float:
        return ZERO_ROOM + (1 - ZERO_ROOM) * above.position(value) if value > 0 else ZERO_ROOM / 3

    return Scale(position, ((0.0, "0"), *above.ticks))


def slots(names: Sequence[str]) -> Scale:
    """A slot for each name; value 0 is the middle of the first."""
    count = max(1, len(names))
    return Scale(lambda value: _clamped((value + 0.5) / count), tuple(enumerate(names)))


def _clamped(share: float) -> float:
    return min(1.0, max(0.0, share))


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(max(least, 1e-300)))  # a file may hold the smallest of numbers
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))
