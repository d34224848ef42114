"""The DPDK on a host: its release and the network drivers that are installed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ouchi.facts.dpdk.known import OFFERED, nearest, table
from ouchi.facts.dpdk.pmdinfo import Driver, drivers_in
from ouchi.facts.dpdk.release import order, release_of
from ouchi.facts.reading import bytes_of, names_in, text_of
from ouchi.facts.system import parse_distribution
from ouchi.machine import Reader

VSWITCHD = ("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", "/usr/sbin/ovs-vswitchd")
FIRMWARE = "/lib/firmware"
_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
_ABIS = range(31, 20, -1)  # 30.11 to 20.11
_MOST_PLUGIN = 32 * 1024 * 1024  # bytes; the largest driver, mlx5, has 2.5 MB in DPDK 22.11
_MOST_VSWITCHD = 64 * 1024 * 1024  # bytes; one with DPDK's drivers linked in has tens of megabytes
_MOST_FILES = 256


@dataclass(frozen=True, slots=True)
class Dpdk:
    """The DPDK of a host.

    ``release`` is the installed one, empty when none is or a static ovs-vswitchd does not tell. ``installed``: the
    network drivers found in the plug-ins, or inside ovs-vswitchd. ``known``: all network drivers of the release
    ``table``, which is the installed release or the nearest that there is a table of. ``offered``: the release that
    the host's distribution packages, empty when it is not known. ``ddp``: the files of Intel's DDP packages that the
    driver net_ice loads, by name; None where the folders of firmware cannot be seen.
    """

    release: str
    installed: tuple[Driver, ...]
    table: str
    known: tuple[Driver, ...]
    offered: str = ""
    ddp: tuple[str, ...] | None = None

    @property
    def present(self) -> bool:
        """True when there is a DPDK on the host, be it without any network driver."""
        return bool(self.release or self.installed)


def read_dpdk(reader: Reader) -> Dpdk:
    """The host's DPDK; files that are missing or odd count as not there."""
    release, installed = _plugins(reader) or _built_in(reader) or _bare(reader)
    distribution = parse_distribution(text_of(reader, "/etc/os-release") or text_of(reader, "/usr/lib/os-release"))
    offered = OFFERED.get((distribution.id, distribution.version), "")
    judged = nearest(release or offered)
    return Dpdk(release, installed, judged, table(judged).drivers, offered, _ddp(reader))


def _ddp(reader: Reader) -> tuple[str, ...] | None:
    """Where net_ice looks (doc/guides/nics/ice.rst, "DDP package")."""
    if not reader.exists(FIRMWARE):
        return None
    folders = (f"{FIRMWARE}/updates/intel/ice/ddp", f"{FIRMWARE}/intel/ice/ddp")
    return tuple(sorted({name for folder in folders for name in names_in(reader, folder) if ".pkg" in name}))


def _plugins(reader: Reader) -> tuple[str, tuple[Driver, ...]] | None:
    """The newest plug-in folder: its release and the network drivers in it. None without such a folder."""
    folders = [
        (release, f"{libraries}/dpdk/{name}")
        for libraries in _LIBRARIES
        for name in names_in(reader, f"{libraries}/dpdk")
        if name.startswith("pmds-") and (release := release_of(name.removeprefix("pmds-")))
    ]
    if not folders:
        return None
    release, folder = max(folders, key=lambda found: order(found[0]))
    drivers = [
        driver
        for path, library in _files(reader, folder)
        for driver in drivers_in(bytes_of(reader, path, _MOST_PLUGIN), library)
    ]
    return release, tuple(sorted(drivers, key=lambda driver: driver.name))


def _files(reader: Reader, folder: str) -> list[tuple[str, str]]:
    """Path and name of each network driver in a folder; one file under several names is given once, by the shortest."""
    real: dict[str, tuple[str, str]] = {}
    names = [name for name in names_in(reader, folder) if re.match(r"librte_net_\w+\.so", name)]
    for name in sorted(names, key=len)[:_MOST_FILES]:
        path = f"{folder}/{name}"
        real.setdefault(reader.link(path) or name, (path, name))
    return sorted(real.values())


def _built_in(reader: Reader) -> tuple[str, tuple[Driver, ...]] | None:
    """The drivers linked into ovs-vswitchd, which does not tell its release. None when there are none in it."""
    for path in VSWITCHD:
        if drivers := drivers_in(bytes_of(reader, path, _MOST_VSWITCHD), path.rpartition("/")[2]):
            return "", drivers
    return None


def _bare(reader: Reader) -> tuple[str, tuple[Driver, ...]]:
    """The release of DPDK's library where no driver came with it; empty where there is no DPDK."""
    for libraries in _LIBRARIES:
        if reader.exists(libraries):
            for abi in _ABIS:
                if reader.exists(f"{libraries}/librte_eal.so.{abi}"):
                    return release_of(str(abi)), ()
    return "", ()
