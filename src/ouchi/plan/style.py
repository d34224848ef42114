"""What pools can be made for: the styles that ``cpus.prefer`` names."""

from __future__ import annotations

from enum import StrEnum


class Style(StrEnum):
    """The same rules, another aim.

    ``capacity``: as few CPUs as will do for polling, the rest for guests. ``cache``: guests have L3 caches without
    Linux and without polling threads. ``power``: polling threads sleep, on as few cores as will do; on a hybrid
    machine the shared pool has efficient cores.
    """

    CAPACITY = "capacity"
    CACHE = "cache"
    POWER = "power"
