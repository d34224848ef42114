"""The host as a whole: distribution, kernel, init, virtualisation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ouchi.facts.memory import available_kib
from ouchi.facts.reading import pairs, text_of
from ouchi.machine import Reader


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution by its ``os-release``: ``debian``, ``12``, ``bookworm``, and its full name."""

    id: str
    version: str
    codename: str
    pretty: str


@dataclass(frozen=True, slots=True)
class System:
    """A host as a whole.

    ``pid1`` is the name of the first process (``systemd`` decides how services are kept running).
    ``virtual`` is empty on bare metal, else what the machine calls its maker, or ``hypervisor``.
    ``kvm_device`` says only that ``/dev/kvm`` exists, not that guests run under it. ``pdpe1gb``: x86 CPUs
    that can map 1 GiB pages.
    """

    hostname: str
    architecture: str
    kernel: str
    distribution: Distribution
    pid1: str
    virtual: str
    kvm_device: bool
    memory_available_kib: int
    pdpe1gb: bool


def read_system(reader: Reader, cpuinfo: str, meminfo: dict[str, str]) -> System:
    """The system's facts; what cannot be read is empty.

    ``cpuinfo`` is the text of ``/proc/cpuinfo``, ``meminfo`` the lines of ``/proc/meminfo``.
    """
    flags = cpu_flags(cpuinfo)
    return System(
        hostname=text_of(reader, "/proc/sys/kernel/hostname"),
        architecture=text_of(reader, "/proc/sys/kernel/arch") or _architecture(cpuinfo),
        kernel=text_of(reader, "/proc/sys/kernel/osrelease"),
        distribution=parse_distribution(text_of(reader, "/etc/os-release") or text_of(reader, "/usr/lib/os-release")),
        pid1=text_of(reader, "/proc/1/comm"),
        virtual=_virtual(reader, flags),
        kvm_device=reader.exists("/dev/kvm"),
        memory_available_kib=available_kib(meminfo),
        pdpe1gb="pdpe1gb" in flags,
    )


def parse_distribution(os_release: str) -> Distribution:
    """The distribution that an ``os-release`` file names (see os-release(5))."""
    lines = pairs(os_release, "=")
    return Distribution(
        id=lines.get("ID", ""),
        version=lines.get("VERSION_ID", ""),
        codename=lines.get("VERSION_CODENAME", ""),
        pretty=lines.get("PRETTY_NAME", ""),
    )


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The CPU flags of ``/proc/cpuinfo`` (``flags`` on x86, ``Features`` on arm64)."""
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def _architecture(cpuinfo: str) -> str:
    """For kernels before 6.1, which do not name it under /proc."""
    if "vendor_id" in cpuinfo:
        return "x86_64"
    return "aarch64" if "CPU implementer" in cpuinfo else ""


def _virtual(reader: Reader, flags: frozenset[str]) -> str:
    if kind := text_of(reader, "/sys/hypervisor/type"):
        return kind
    maker = text_of(reader, "/sys/class/dmi/id/sys_vendor")
    if "hypervisor" in flags:  # x86 only: the bit that hypervisors set for their guests
        return maker or "hypervisor"
    return maker if maker == "QEMU" else ""
