"""Distribution packages: only the missing ones, with their services kept from starting."""

from __future__ import annotations

from collections.abc import Sequence

from ouchi.core.errors import BadInput, Failed, Finding, error
from ouchi.core.events import Notify
from ouchi.core.outcome import Outcome, changed, nothing
from ouchi.machine import CommandFailed, Machine
from ouchi.parts.context import Context
from ouchi.parts.part import Part, PartState, missing, present
from ouchi.plan.nics import missing_packages as driver_packages
from ouchi.steps import engine
from ouchi.steps.file import file
from ouchi.steps.journal import Journal
from ouchi.vnf.images.small import BUILD_PACKAGES

PACKAGES = (
    "openvswitch-switch-dpdk",
    # DPDK's drivers are plug-ins: without this one there is no memory pool (Debian 12, Ubuntu 24.04, Debian 13, and what comes).
    "librte-mempool-ring23|librte-mempool-ring24|librte-mempool-ring25|librte-mempool-ring26",
    # Its driver for the endpoint's ports.
    "librte-net-af-packet23|librte-net-af-packet24|librte-net-af-packet25|librte-net-af-packet26",
    "ovn-central",
    "ovn-host",
    "mariadb-server",
    "rabbitmq-server",
    "libvirt-daemon-system",
    # virtlogd's own package, where it has one (Debian 13).
    "libvirt-daemon-log|libvirt-daemon",
    "libvirt-clients",
    "libvirt-daemon-driver-qemu",
    "python3-libvirt",
    "qemu-system-x86",
    "qemu-utils",
    "genisoimage",
    "iproute2",
    "iputils-ping",
    "ethtool",
    "iperf3",
)
"""What the host needs; the guest image's own tools come on top."""

DISK_MIB = 2500
"""What packages, OpenStack's environment, the image and the databases take on a fresh machine."""

STEP = "packages"
POLICY = "/usr/sbin/policy-rc.d"
"""What Debian's maintainer scripts ask before they start a service; status 101 means no (Debian Policy, invoke-rc.d)."""

APT_OPTIONS = tuple(
    word
    for option in (
        "Dpkg::Use-Pty=0",
        "DPkg::Lock::Timeout=300",
        "Dpkg::Options::=--force-unsafe-io",
        "Dpkg::Options::=--force-confdef",
    )
    for word in ("-o", option)
)

UNITS = frozenset(
    (
        "mariadb",
        "rabbitmq-server",
        "epmd.socket",
        "epmd",
        "openvswitch-switch",
        "ovs-vswitchd",
        "ovsdb-server",
        "ovn-central",
        "ovn-host",
        "ovn-controller",
        "ovn-northd",
        "ovn-ovsdb-server-nb",
        "ovn-ovsdb-server-sb",
        "libvirtd",
        "libvirtd.socket",
        "libvirtd-ro.socket",
        "libvirtd-admin.socket",
        "virtlogd",
        "virtlogd.socket",
        "virtlockd",
        "virtlockd.socket",
        "libvirt-guests",
    )
)
"""Services that come with the packages: ouchi runs its own, and these would come up, some on every address, at the next boot."""


class Packages(Part):
    name = "packages"
    stage = "prepare"
    needs = ()

    def conflicts(self, at: Context) -> list[Finding]:
        there = at.instance.state if at.machine.exists(at.instance.state) else "/var/lib"
        free = int(at.machine.run(("df", "-Pm", there)).stdout.split("\n")[1].split()[3])
        if free >= DISK_MIB:
            return []
        return [
            error(
                "the disk is too full",
                where=there,
                found=f"{free} MiB free",
                expected=f"at least {DISK_MIB} MiB",
                remedy=f"make room on the disk that holds {there}, then: ouchi up",
            )
        ]

    def look(self, at: Context) -> PartState:
        names = _needed(at)
        if lost := missing_packages(at.machine, names):
            return missing(
                f"install {len(lost)} packages: {' '.join(lost)}", f"{len(lost)} of {len(names)} are missing"
            )
        return present(f"all {len(names)} packages are installed", "installed")

    def make(self, at: Context, notify: Notify) -> Outcome:
        if found := self.conflicts(at):
            raise BadInput(found)
        return install(at.journal, _needed(at), notify)

    def remove(self, at: Context) -> Outcome:
        done = undo(at.journal)
        return changed("; ".join(done)) if done else nothing("packages stay installed")


def _needed(at: Context) -> tuple[str, ...]:
    """Return the packages that the host, the guest image and the drivers of the site's NICs need."""
    return (*PACKAGES, *BUILD_PACKAGES, *driver_packages(at.target.site, at.target.facts))


def missing_packages(machine: Machine, names: Sequence[str]) -> list[str]:
    """Those of ``names`` that are not installed; an alternative is written ``a|b``."""
    choices = [choice for name in names for choice in name.split("|")]
    answer = machine.run(("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *choices), check=False)
    installed = {line.partition(" ")[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if not installed.intersection(name.split("|"))]


def install(journal: Journal, names: Sequence[str], notify: Notify) -> Outcome:
    """Install what is missing with apt; an interrupted dpkg is finished first.

    Raises :class:`~ouchi.core.errors.Failed` with apt's output.
    """
    machine = journal.machine
    undo(journal)
    missing = missing_packages(machine, names)
    if not missing:
        return nothing(f"all {len(names)} packages are installed")
    units_before = _unit_files(machine)
    environment = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
    try:
        if not machine.exists(POLICY):
            text = "#!/bin/sh\n# ouchi: while it installs packages, no service starts.\nexit 101\n"
            engine.make(journal, STEP, [file(POLICY, text, mode=0o755)])
        notify("reading package lists")
        machine.run(("apt-get", "-q", "update"), timeout=300, env=environment, outlive=True)
        machine.run(("dpkg", "--configure", "-a"), timeout=600, env=environment, check=False, outlive=True)
        chosen = [_available(machine, name) for name in missing]
        notify(f"installing {len(missing)} packages and what they need")
        machine.run(
            ("apt-get", "-q", "-y", "--no-install-recommends", *APT_OPTIONS, "install", *chosen),
            timeout=1800,
            env=environment,
            outlive=True,
        )
    except CommandFailed as failure:
        raise Failed.of(
            "packages could not be installed",
            where=" ".join(failure.result.argv[:4]),
            found=" | ".join((failure.result.stderr or failure.result.stdout).strip().splitlines()[-4:]),
            expected=f"{len(missing)} packages from the distribution: {' '.join(missing)}",
            remedy="look at apt's sources and the network, then: ouchi up",
        ) from None
    finally:
        undo(journal)
    _disable(machine, _unit_files(machine) - units_before)
    return changed(f"{len(missing)} packages installed")


def _available(machine: Machine, name: str) -> str:
    """The first alternative that the distribution has."""
    for choice in name.split("|"):
        if "Candidate: (none)" not in (policy := machine.run(("apt-cache", "policy", choice)).stdout) and policy:
            return choice
    return name.split("|", maxsplit=1)[0]


def _unit_files(machine: Machine) -> set[str]:
    names = machine.entries("/usr/lib/systemd/system")
    return {name for name in names if name.removesuffix(".service") in UNITS}


def _disable(machine: Machine, units: set[str]) -> None:
    """Keep the services that came just now from starting at the next boot; those that were there stay as they were."""
    if units:
        machine.run(("systemctl", "disable", *sorted(units)), check=False)


def undo(journal: Journal) -> list[str]:
    """Remove the policy, also one that a killed run left; the packages themselves stay."""
    return [f"{record.key} removed" for record in engine.undo(journal, journal.records(step=STEP))]


PARTS = (Packages(),)
