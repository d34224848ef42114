"""The packages that the real tests need, installed by ouchi's own function: no service of theirs starts.

Each test asks for its own; run as a program, it installs all of them at once, before groups of tests run side by side.
"""

from __future__ import annotations

import functools
import sys
import tempfile

from ouchi.machine.local import LocalMachine
from ouchi.measure.generator import build
from ouchi.parts import packages
from ouchi.parts.packages import PACKAGES as UP
from ouchi.rig.debian import NEEDED as RIG
from ouchi.steps.journal import Journal
from ouchi.vnf import testpmd
from ouchi.vnf.images.small import BUILD_PACKAGES

SSH = ("openssh-server", "openssh-client", "sudo")
LAB = (*UP, *BUILD_PACKAGES, *build.PACKAGES, testpmd.PACKAGE, *SSH)
BROWSER = ("chromium",)
CONTAINER = ("systemd-container",)
FUSE = ("fuse3",)
CONSUMERS = (
    "openvswitch-switch-dpdk",
    "libvirt-clients",
    "libxml2-utils",  # virt-xml-validate asks xmllint
    "tuned",
    "netplan.io",
    "irqbalance",
    "driverctl",
)
"""The programs that read what is rendered."""

SERVICES = {"openssh-server": "ssh.service", "tuned": "tuned.service", "irqbalance": "irqbalance.service"}
"""What would start at the next boot, beyond what ouchi itself switches off."""


@functools.cache
def require(names: tuple[str, ...]) -> None:
    """Install what is missing; asked once in a process."""
    machine = LocalMachine()
    missing = packages.missing_packages(machine, names)
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        packages.install(Journal(machine, folder), names, lambda text: print(text, file=sys.stderr))
    services = [service for name, service in SERVICES.items() if name in missing]
    if services and machine.exists("/run/systemd/system"):
        machine.run(("systemctl", "disable", *services), check=False)


if __name__ == "__main__":
    require(tuple(dict.fromkeys((*LAB, *CONSUMERS, *BROWSER, *CONTAINER, *FUSE, *RIG))))
