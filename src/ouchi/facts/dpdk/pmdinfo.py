"""The PMD information inside the binary of a DPDK driver, read by a pure function of bytes.

Every driver carries NUL-terminated strings of the form ``PMD_INFO_STRING= {"name" : "net_i40e", "kmod" :
"* igb_uio | vfio-pci", "pci_ids" : [[32902, 5490, 65535, 65535], …]}`` (written by DPDK's
``buildtools/pmdinfogen.py``). They are looked for in the bytes as such, so a shared object, a static program and a
file that holds nothing but these strings read alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MARKER = b"PMD_INFO_STRING="
_LONGEST = 256 * 1024  # bytes of one string; the longest in DPDK 22.11 to 25.11 has 3 KiB
_MOST_STRINGS = 256  # of one file; DPDK 25.11 has 60 drivers of NICs
_MOST_IDS = 4096  # of one driver; the most in DPDK 22.11 to 25.11 is 93
_ANY = 0xFFFF  # PCI_ANY_ID
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Driver:
    """A poll-mode driver: its name (``net_i40e``), the file it is in (``librte_net_i40e.so.23``), what it drives.

    ``ids`` are ``vendor:device`` in lower-case hex, sorted, with ``*`` for any device; where the driver also asks for the
    subsystem, ``vendor:device:subvendor:subdevice``. ``kmods``: the kernel modules it works on, in its own order.
    """

    name: str
    library: str
    ids: tuple[str, ...]
    kmods: tuple[str, ...]

    def __hash__(self) -> int:
        return hash(self.name)  # the ids are hundreds, and drivers are looked up for each NIC


def drivers_in(data: bytes, library: str) -> tuple[Driver, ...]:
    """The drivers of PCI devices inside a file's bytes, by name; what is no PMD information is passed over.

    ``library`` is the file's name. At most 256 strings of 256 KiB each are looked at, whatever the bytes are.
    """
    found: dict[str, Driver] = {}
    for text in _strings(data):
        driver = _driver(text, library)
        if driver:
            found.setdefault(driver.name, driver)
    return tuple(found[name] for name in sorted(found))


def _strings(data: bytes) -> Iterator[bytes]:
    start = data.find(MARKER)
    for _ in range(_MOST_STRINGS):
        if start < 0:
            return
        start += len(MARKER)
        end = data.find(b"\0", start, start + _LONGEST)
        if end >= 0:
            yield data[start:end]
        start = data.find(MARKER, start)


@lru_cache(maxsize=256)  # a fleet of hosts has the same drivers
def _driver(text: bytes, library: str) -> Driver | None:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):  # a file may hold anything, brackets a million deep among it
        return None
    if not isinstance(parsed, dict):
        return None
    name, ids = parsed.get("name"), tuple(sorted(set(_ids(parsed.get("pci_ids")))))
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not ids:
        return None
    return Driver(name, library, ids, _kmods(parsed.get("kmod")))


def _ids(rows: Any) -> Iterator[str]:
    for row in rows[:_MOST_IDS] if isinstance(rows, list) else ():
        if not isinstance(row, list) or len(row) != 4 or not all(map(_is_id, row)):
            continue
        vendor, device, *subsystem = row
        if vendor == _ANY:  # would take every NIC there is; no driver of DPDK does
            continue
        words = [vendor, device, *(subsystem if _ANY not in subsystem else ())]
        yield ":".join("*" if word == _ANY else f"{word:04x}" for word in words)


def _is_id(word: Any) -> bool:
    return type(word) is int and 0 <= word <= _ANY


def _kmods(text: Any) -> tuple[str, ...]:
    """The modules of ``* igb_uio | uio_pci_generic | vfio-pci`` or ``* ib_uverbs & mlx5_core & mlx5_ib``."""
    words = re.split(r"[\s|&,()]+", text[:1024]) if isinstance(text, str) else []
    # Some drivers say "vfio" for the module whose name is vfio-pci.
    names = ("vfio-pci" if word == "vfio" else word for word in words if _NAME.fullmatch(word))
    return tuple(dict.fromkeys(names))
