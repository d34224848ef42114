"""Keys of a run's description as text: ``pmd_cpus`` is "PMD CPUs"."""

from __future__ import annotations

import re

_WORDS = {
    "cpu": "CPU",
    "cpus": "CPUs",
    "dpdk": "DPDK",
    "mtu": "MTU",
    "open": "Open",
    "pmd": "PMD",
    "vswitch": "vSwitch",
}


def key_text(key: str) -> str:
    """An identifier as words of the field; any other text (older runs, other programs) is returned as it is."""
    if not re.fullmatch("[a-z][a-z0-9_]*", key):
        return key
    return " ".join(_WORDS.get(word, word) for word in key.split("_"))
