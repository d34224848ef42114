"""Reading small files that may be missing, empty or odd: facts never crash on them."""

from __future__ import annotations

import re

from ouchi.core.cpulist import parse_cpus
from ouchi.machine import Reader

# What would speak to a terminal; a hostile snapshot may hold it. The text itself is the kernel's, line by line.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_VERSION = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){0,3}")


def text_of(reader: Reader, path: str) -> str:
    """A file's text without control characters and the white space around it; empty when it cannot be read."""
    try:
        return _CONTROL.sub("", reader.read(path)).strip()
    except OSError:  # sysfs also answers so when a value does not apply, such as the carrier of a link that is down
        return ""


def bytes_of(reader: Reader, path: str, most: int) -> bytes:
    """A file's bytes, at most so many; none when it cannot be read."""
    try:
        return reader.read_bytes(path, most)
    except OSError:
        return b""


def names_in(reader: Reader, folder: str) -> list[str]:
    """The names in a folder that are fit to be shown; none when it cannot be listed (a container that masks it)."""
    try:
        return [name for name in reader.entries(folder) if name.isprintable()]
    except OSError:
        return []


def whole(text: str, default: int) -> int:
    """A decimal number, or the default when it is none."""
    text = text.strip()
    return int(text) if _WHOLE.fullmatch(text) else default


def version(text: str) -> str:
    """A version of numbers with dots (``3.1.0``); empty when it is none, as a forged snapshot may have it."""
    text = text.strip()
    return text if _VERSION.fullmatch(text) else ""


def probe_of(reader: Reader, name: str) -> str:
    """A probe's text without control characters and the white space around it."""
    return _CONTROL.sub("", reader.probe(name)).strip()


def cpus_of(text: str) -> tuple[int, ...]:
    """The kernel's CPU list (``0-3,8``); empty when it is none."""
    try:
        return parse_cpus(text)
    except ValueError:
        return ()


def pairs(text: str, separator: str) -> dict[str, str]:
    """``key<separator>value`` lines, stripped of white space and quotes; other lines are passed over."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, middle, value = line.partition(separator)
        if middle:
            found.setdefault(key.strip(), value.strip().strip("\"'"))
    return found
