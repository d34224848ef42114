"""DPDK's support of one NIC, with the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ouchi.facts.dpdk.known import releases, table
from ouchi.facts.dpdk.pmdinfo import Driver
from ouchi.facts.dpdk.queues import Queues, queues
from ouchi.facts.dpdk.read import Dpdk
from ouchi.facts.dpdk.release import abi_of, order
from ouchi.facts.nics import Nic

USERSPACE = ("vfio-pci", "uio_pci_generic", "igb_uio")
"""The modules that hand a NIC to a driver outside the kernel, best first."""


@dataclass(frozen=True, slots=True)
class Support:
    """DPDK's support of a NIC: by which driver (``pmd``), bound to which kernel module, and why or why not.

    ``supported`` means that a driver is there to do it: installed, or, where there is no DPDK on the host yet, in the
    table of the release that will be. A NIC whose driver the installed release has, but in a package that is not
    installed, is not supported as things are; ``pmd`` and ``kmod`` are given all the same and ``reason`` names the
    package. ``bifurcated``: the NIC stays with its kernel driver, which ``kmod`` then is, and is never unbound.
    ``most_queues``: Rx queues at most, 0 without a known limit.
    """

    supported: bool
    pmd: str
    kmod: str
    bifurcated: bool
    reason: str
    most_queues: int


def support(nic: Nic, dpdk: Dpdk) -> Support:
    """Judge one NIC by the drivers on its host, or by the table where there are none."""
    if not nic.address:
        return _none("it is not a PCI device, and DPDK's drivers are for those")
    if not nic.vendor or not nic.device:
        return _none("its PCI ids cannot be read")
    if driver := _match(nic, dpdk.installed):
        return _by(driver, nic, dpdk.release, True, f"{driver.name} of {_named(dpdk)} drives it and is installed")
    if driver := _match(nic, dpdk.known):
        release = dpdk.release or dpdk.offered or dpdk.table
        return _by(driver, nic, release, not dpdk.present, _known(driver, dpdk, release))
    return _none(_unknown(nic, dpdk))


def driver_modules(nic: Nic, dpdk: Dpdk) -> tuple[str, ...]:
    """RDMA's kernel modules that the DPDK driver of a bifurcated NIC needs; none for others."""
    driver = _match(nic, dpdk.installed) or _match(nic, dpdk.known)
    if driver is None or any(name in driver.kmods for name in USERSPACE):
        return ()
    return tuple(name for name in driver.kmods if name.startswith("ib_") or name.endswith("_ib"))


def missing_package(nic: Nic, dpdk: Dpdk) -> str:
    """The package of a NIC's driver; empty when the driver is installed, or no driver is known."""
    driver = None if _match(nic, dpdk.installed) else _match(nic, dpdk.known)
    return package_of(driver, dpdk.release or dpdk.offered or dpdk.table) if driver else ""


def package_of(driver: Driver, release: str) -> str:
    """The Debian or Ubuntu package of a driver in a DPDK release: ``librte-net-i40e23``, ``librte-net-mlx5-23``."""
    base = driver.library.partition(".")[0].replace("_", "-")
    return f"{base}{'-' if base[-1].isdigit() else ''}{abi_of(release)}"


def _known(driver: Driver, dpdk: Dpdk, release: str) -> str:
    """Why a NIC whose driver is not installed but in the table is or is not supported."""
    drives = f"DPDK {dpdk.table}'s {driver.name} drives it"
    if not dpdk.present:
        return f"{drives} ({_by_table(dpdk)}); its package is {package_of(driver, release)}"
    if not dpdk.release:
        return f"{drives}, but it is not among the drivers inside ovs-vswitchd"
    if release != dpdk.table:
        drives += f" (the nearest table that ouchi has to the installed {release})"
    return f"{drives}; its package {package_of(driver, release)} is not installed"


def _unknown(nic: Nic, dpdk: Dpdk) -> str:
    """Why a NIC is not supported that has neither an installed driver nor one in the table."""
    ids = f"{nic.vendor}:{nic.device}"
    if not dpdk.present:
        reason = f"no driver of DPDK {dpdk.table} drives {ids} ({_by_table(dpdk)})"
    elif dpdk.release == dpdk.table:
        reason = f"no driver of DPDK {dpdk.release} drives {ids}, installed or not"
    else:
        reason = f"no installed driver of {_named(dpdk)} drives {ids}, nor any of DPDK {dpdk.table}"
    for release in releases():
        if order(release) > order(dpdk.table) and (driver := _match(nic, table(release).drivers)):
            return f"{reason}; DPDK {release}'s {driver.name} does"
    return reason


def _by_table(dpdk: Dpdk) -> str:
    """The table that is used where no DPDK is installed."""
    nearest = f", the nearest to this distribution's {dpdk.offered}" if dpdk.offered not in ("", dpdk.table) else ""
    packages = f" from {table(dpdk.table).distribution}'s packages" if dpdk.table in releases() else ""
    return f"DPDK is not installed here: by ouchi's table of {dpdk.table}{packages}{nearest}"


def _by(driver: Driver, nic: Nic, release: str, supported: bool, reason: str) -> Support:
    kmod = next((name for name in USERSPACE if name in driver.kmods), "")
    bifurcated = bool(driver.kmods) and not kmod
    if bifurcated:
        kmod = _kernel_driver(driver, nic)
        reason += f"; {kmod} keeps the NIC, which is never unbound"
    elif not kmod:
        kmod = USERSPACE[0]
        reason += f"; it names no kernel module, and {kmod} is DPDK's usual one"
    elif kmod != USERSPACE[0]:
        reason += f"; it takes {kmod}, not {USERSPACE[0]}"
    most = queues(driver.name, nic.device, release)
    return Support(supported, driver.name, kmod, bifurcated, reason + _few(most), most.receive)


def _kernel_driver(driver: Driver, nic: Nic) -> str:
    """The network driver among a bifurcated driver's modules, which also name RDMA's (``ib_uverbs``, ``mana_ib``)."""
    if nic.driver in driver.kmods:
        return nic.driver
    names = [name.removesuffix("_ib") for name in driver.kmods if not name.startswith("ib_")]
    return next((name for name in names if name.endswith("_core")), names[0] if names else nic.driver)


def _few(most: Queues) -> str:
    if not most.receive:
        return ""
    if most == Queues(1, 1):
        return "; one Rx and one Tx queue, which all PMD threads share under a lock"
    return f"; at most {most.receive} Rx and {most.transmit} Tx queues"


def _named(dpdk: Dpdk) -> str:
    return f"DPDK {dpdk.release}" if dpdk.release else "the DPDK inside ovs-vswitchd"


def _match(nic: Nic, drivers: tuple[Driver, ...]) -> Driver | None:
    """The driver of a NIC. Of several the first by name: net_iavf before net_ice_dcf, which needs to be asked for."""
    index = _index(drivers)
    keys = (f"{nic.vendor}:{nic.device}:{nic.subsystem}", f"{nic.vendor}:{nic.device}", f"{nic.vendor}:*")
    return next((index[key] for key in keys if key in index), None)


@lru_cache(maxsize=16)
def _index(drivers: tuple[Driver, ...]) -> dict[str, Driver]:
    return {ids: driver for driver in reversed(drivers) for ids in driver.ids}


def _none(reason: str) -> Support:
    return Support(False, "", "", False, reason, 0)
