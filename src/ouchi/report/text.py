"""Texts of reports: sizes and speeds with their units, host texts without control characters."""

from __future__ import annotations


def clean(text: str) -> str:
    """A text of a host without control characters, which a hostile snapshot may hold."""
    return "".join(letter if letter.isprintable() else "·" for letter in text).strip()


def size(kib: int) -> str:
    """KiB as people write it: ``512 KiB``, ``16 MiB``, ``31.3 GiB``."""
    for unit, name in ((1024 * 1024, "GiB"), (1024, "MiB")):
        if kib >= unit:
            return f"{kib / unit:.1f} {name}".replace(".0 ", " ")
    return f"{kib} KiB"


def speed(mbps: int) -> str:
    """A link's speed: ``100 Mb/s``, ``2.5 Gb/s``; empty when it is not known."""
    if mbps >= 1000:
        return f"{mbps / 1000:.1f} Gb/s".replace(".0 ", " ")
    return f"{mbps} Mb/s" if mbps > 0 else ""
