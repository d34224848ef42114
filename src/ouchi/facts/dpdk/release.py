"""DPDK's releases: their order, and the ABI number that names their libraries and packages."""

from __future__ import annotations

import re

_MONTHS = {0: "11", 1: "03", 2: "07"}  # an ABI lives from the long-term release of November to the next July


def order(release: str) -> tuple[int, ...]:
    """A release (``22.11``) as something that sorts; the unknown one (empty) comes first."""
    return tuple(int(part) for part in release.split(".")) if release else ()


def release_of(abi: str) -> str:
    """The release that an ABI belongs to: ``23.0`` or ``23`` is 22.11, ``23.1`` is 23.03; empty when it is none."""
    match = re.fullmatch(r"([2-9][0-9])(?:\.([0-2]))?", abi, re.ASCII)
    if not match:
        return ""
    minor = int(match[2] or 0)
    return f"{int(match[1]) - (minor == 0)}.{_MONTHS[minor]}"


def abi_of(release: str) -> int:
    """The major ABI number of a release: 23 for 22.11, 23.03 and 23.07."""
    year, month = order(release)
    return year + (month == 11)
