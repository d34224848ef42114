"""Scapy as a library that builds frames, and as nothing else.

Left to itself its import asks the kernel for interfaces and routes, writes a cache into the user's home and unpacks
a table of vendors for a second. None of that is needed to put headers together.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from types import ModuleType


@cache
def load_scapy() -> None:
    """Import the layers that frames are built of; afterwards ``from scapy.layers… import`` costs nothing.

    It opens no socket, writes no file and says nothing. Where the process uses scapy already, it is left as it is.
    """
    if "scapy.data" in sys.modules:
        return
    import scapy.main

    # What the cache would hold is not worth a file, least of all with the vendors left out.
    cache_folder, scapy.main.SCAPY_CACHE_FOLDER = scapy.main.SCAPY_CACHE_FOLDER, None
    vendors = sys.modules["scapy.libs.manuf"] = ModuleType("scapy.libs.manuf")
    vendors.__dict__["DATA"] = ""
    logger = logging.getLogger("scapy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        _import_layers()
    finally:
        logger.setLevel(level)
        scapy.main.SCAPY_CACHE_FOLDER = cache_folder
        del sys.modules["scapy.libs.manuf"]


def _import_layers() -> None:
    import scapy.interfaces
    from scapy.config import conf

    conf.route_autoload = conf.route6_autoload = False
    vars(conf.ifaces)["reload"] = _nothing
    try:
        import scapy.contrib.geneve
        import scapy.layers.inet6
        import scapy.layers.vxlan  # noqa: F401
    finally:
        del vars(conf.ifaces)["reload"]


def _nothing() -> None:
    """In place of asking the kernel for its interfaces."""
