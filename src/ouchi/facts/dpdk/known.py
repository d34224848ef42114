"""The network drivers of named DPDK releases, for hosts where they are not installed.

Each table in ``ouchi/facts/data`` was made by ``tools/make_dpdk_table.py`` from the drivers in a distribution's own
packages. A table is loaded when it is first asked for and kept.
"""

from __future__ import annotations

import importlib.resources
import json
from dataclasses import dataclass
from functools import cache

from ouchi.facts.dpdk.pmdinfo import Driver
from ouchi.facts.dpdk.release import abi_of, order

OFFERED = {
    ("debian", "12"): "22.11",
    ("debian", "13"): "24.11",
    ("debian", "14"): "25.11",
    ("ubuntu", "22.04"): "21.11",
    ("ubuntu", "24.04"): "23.11",
    ("ubuntu", "26.04"): "25.11",
}
"""The release in a distribution's archive (its package dpdk), by the distribution's id and version."""


@dataclass(frozen=True, slots=True)
class Table:
    """The drivers of a release, by name, and the distribution from whose packages they are."""

    distribution: str
    drivers: tuple[Driver, ...]


@cache
def releases() -> tuple[str, ...]:
    """The releases that there are tables of, oldest first."""
    names = (entry.name for entry in (importlib.resources.files("ouchi.facts") / "data").iterdir())
    found = (name.removeprefix("dpdk-").removesuffix(".json") for name in names if name.startswith("dpdk-"))
    return tuple(sorted(found, key=order))


@cache
def nearest(release: str) -> str:
    """The release whose table to judge by: itself, else the next older one that has a table, else the oldest.

    An unknown release (empty) is judged by the newest: who installs DPDK anew may take that.
    """
    older = [known for known in releases() if not release or order(known) <= order(release)]
    return older[-1] if older else releases()[0]


@cache
def table(release: str) -> Table:
    """The table of a release of :func:`releases`."""
    data = importlib.resources.files("ouchi.facts") / "data" / f"dpdk-{release}.json"
    parsed = json.loads(data.read_text(encoding="utf-8"))
    drivers = (
        Driver(name, f"{library}.so.{abi_of(release)}", unpack(ids), tuple(kmods.split()))
        for library, inside in parsed["libraries"].items()
        for name, (kmods, ids) in inside.items()
    )
    return Table(parsed["distribution"], tuple(sorted(drivers, key=lambda driver: driver.name)))


def unpack(text: str) -> tuple[str, ...]:
    """PCI ids, sorted, of a short text: ``8086:1572,1574 1af4:*``; those with a subsystem stand whole in it."""
    words = (word.partition(":") for word in text.split())
    return tuple(sorted(f"{vendor}:{device}" for vendor, _, devices in words for device in devices.split(",")))
