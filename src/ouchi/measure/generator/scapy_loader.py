"""Imports scapy's packet layers without its side effects.

By default the import queries the kernel for interfaces and routes, writes a cache into the user's home folder, and
takes a second to unpack a table of MAC vendors.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from types import ModuleType


@cache
def load_scapy() -> None:
    """Import the packet layers; afterwards ``from scapy.layers… import`` costs nothing.

    It opens no socket, writes no file and logs nothing. A scapy that is imported already is left unchanged.
    """
    if "scapy.data" in sys.modules:
        return
    import scapy.main

    # No cache file, least of all one without the vendors.
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
    vars(conf.ifaces)["reload"] = lambda: None  # no query for the kernel's interfaces
    try:
        import scapy.contrib.geneve
        import scapy.layers.inet6
        import scapy.layers.vxlan  # noqa: F401
    finally:
        del vars(conf.ifaces)["reload"]
