"""The styles of a plan, as ``cpus.prefer`` names them."""

from __future__ import annotations

from enum import StrEnum


class Style(StrEnum):
    """The aim of the pools.

    ``capacity``: as few CPUs as will do for polling, the rest for guests. ``cache``: guests have L3 caches without
    Linux and without PMD threads. ``power``: PMD threads sleep, on as few cores as will do; on a hybrid
    machine the shared pool has efficient cores.
    """

    CAPACITY = "capacity"
    CACHE = "cache"
    POWER = "power"
