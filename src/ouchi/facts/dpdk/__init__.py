"""DPDK's support of NICs, by the PMD information in its drivers."""

from __future__ import annotations

from ouchi.facts.dpdk.pmdinfo import Driver, drivers_in
from ouchi.facts.dpdk.read import Dpdk, read_dpdk
from ouchi.facts.dpdk.support import Support, missing_package, package_of, support

__all__ = ["Dpdk", "Driver", "Support", "drivers_in", "missing_package", "package_of", "read_dpdk", "support"]
