"""Redaction of a host's files and logs: enough is kept to plan the host, and nothing that identifies its owner.

Of files, some are reduced to what plans need (:data:`KEPT`) and some are left out, and in all contents, names and link
targets MAC addresses and UUIDs are replaced. The same address is replaced by the same one everywhere. Texts such as logs
are also searched for credentials, serial numbers and global IP addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ouchi.core.redact import HIDDEN, hide_secrets, is_secret_name
from ouchi.machine.snapshot.addresses import Addresses
from ouchi.machine.snapshot.recorder import Noted

PARAMETERS = frozenset(
    """
    amd_iommu amd_iommu_dump amd_pstate arm64.nosve audit clocksource cpu0_hotplug cpuidle.governor cpuidle.off
    cpufreq.default_governor cpufreq.off default_hugepagesz efi hugepages hugepagesz hugetlb_cma idle init_on_alloc
    intel_idle.max_cstate intel_iommu intel_pstate intremap iommu iommu.forcedac iommu.passthrough iommu.strict
    irqaffinity isolcpus kernelcore kthread_cpus kvm.nx_huge_pages kvm-amd.nested kvm-intel.nested kvm-intel.ept
    lockdown lsm maxcpus mce mem mitigations module.sig_enforce movable_node movablecore nmi_watchdog noefi nohz
    nohz_full noirqdebug nopti nosmt nosoftlockup nospectre_v1 nospectre_v2 nowatchdog nox2apic nr_cpus numa
    numa_balancing page_poison panic pci pcie_aspm pcie_ports possible_cpus preempt processor.max_cstate pti quiet
    rcu_nocb_poll rcu_nocbs rcupdate.rcu_normal_after_boot skew_tick spec_store_bypass_disable spectre_v2 swiotlb
    systemd.cpu_affinity systemd.unified_cgroup_hierarchy threadirqs transparent_hugepage tsc tsx
    vfio_iommu_type1.allow_unsafe_interrupts vfio-pci.disable_idle_d3 vfio-pci.disable_vga vfio-pci.ids workqueue.unbound_cpus x2apic_phys
    """.split()  # noqa: SIM905  # a list of a hundred quoted words reads worse
)
"""The kernel parameters that are kept: those about CPUs, memory, the IOMMU, isolation and lockdown."""

_SAME = frozenset(word.replace("-", "_") for word in PARAMETERS)  # to the kernel - and _ in a name are one
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_VALUE = re.compile(r"[A-Za-z0-9_.,:+/*-]*")  # none of the words that are kept needs more
_MAC = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5,19}\b", re.IGNORECASE)
_NAMED_BY_MAC = re.compile(r"(?<![0-9A-Za-z])(enx|wlx|wwx)([0-9a-f]{12})(?![0-9a-z])")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_SERIAL = re.compile(r"^[ \t]*(?:serial|system serial|uuid)[ \t\w]*:.*\n?", re.IGNORECASE | re.MULTILINE)
_SERIAL_IN_TEXT = re.compile(
    r"""(\bserial(?:[ _-]?(?:number|no))?["']?[ \t]*[:=#][ \t]*["']?)[\w./-]+""", re.IGNORECASE
)
_NO_UUID = "00000000-0000-0000-0000-000000000000"

# Files that hold serial numbers, or addresses that no plan needs.
_LEFT_OUT = re.compile(
    r".*/(?:[\w-]*serial[\w-]*|[\w-]*uuid|vpd|machine-id|phys_port_id|phys_switch_id|perm_hwaddr|\w*asset_tag)"
)
_ADDRESS = re.compile(r"/sys/.*/net/([^/]+)/address")
_CONFIG_SPACE = re.compile(r"/sys/devices/.*/config")
_PUBLIC_CONFIG_SPACE = 64  # bytes; the capabilities after it include a device's serial number


class Macs:
    """MAC addresses with their vendor half and a number for the rest: ``3c:fd:fe:00:00:01``."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}

    def replace(self, text: str) -> str:
        """Replace all MAC addresses in a text, also those inside interface names (``enx3cfdfe000001``)."""
        text = _MAC.sub(lambda match: self.of(match[0]), text)
        return _NAMED_BY_MAC.sub(
            lambda match: match[1] + self.of(":".join(re.findall("..", match[2]))).replace(":", ""), text
        )

    def of(self, mac: str) -> str:
        """The replacement of an address; all zeros and all ones stay."""
        mac = mac.lower()
        if set(mac) <= {"0", ":"} or set(mac) <= {"f", ":"}:
            return mac
        if mac not in self._given:
            number = len(self._given) + 1
            middle = ["00"] * (len(mac.split(":")) - 6)  # InfiniBand's addresses are longer
            self._given[mac] = ":".join([mac[:8], *middle, *(f"{number:06x}"[at : at + 2] for at in (0, 2, 4))])
        return self._given[mac]


class Redactor:
    """Redacts the files and the logs of one host, with the same replacements in both."""

    def __init__(self) -> None:
        self._macs = Macs()
        self._addresses = Addresses()
        self._uuids: dict[str, str] = {}

    def host(self, noted: Noted, session: str = "") -> Noted:
        """The files for a snapshot. ``session``: the local address of the user's remote session, or empty."""
        macs = self._macs
        interfaces = {match[1]: path for path in noted.files if (match := _ADDRESS.fullmatch(path))}
        for _, path in sorted(interfaces.items()):  # numbered by their names, wherever a NIC is
            macs.replace(noted.files[path].decode(errors="replace"))
        files = {path: content for path, content in noted.files.items() if not _LEFT_OUT.fullmatch(path)}
        self._addresses = Addresses(files)
        files = self._addresses.in_files(files, session)

        def anonymous(text: str) -> str:
            return _UUID.sub(_NO_UUID, macs.replace(text))

        return Noted(
            files={macs.replace(path): _content(path, files[path], anonymous) for path in sorted(files)},
            links={macs.replace(path): macs.replace(target) for path, target in sorted(noted.links.items())},
            folders={macs.replace(path) for path in noted.folders},
            names={macs.replace(path) for path in noted.names},
        )

    def text(self, text: str) -> str:
        """A log or another text without credentials and serial numbers, and with other addresses.

        UUIDs are numbered, so that it can still be seen which lines are about the same thing.
        """
        text = _SERIAL_IN_TEXT.sub(rf"\1{HIDDEN}", hide_secrets(text))
        return self._addresses.in_text(_UUID.sub(self._uuid, self._macs.replace(text)))

    def json(self, value: Any) -> Any:
        """A JSON value with every text in it redacted, and without the values of names such as ``password``."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(member) for member in value]
        if isinstance(value, dict):
            return {
                self.text(name): HIDDEN if is_secret_name(name) and isinstance(member, str) else self.json(member)
                for name, member in value.items()
            }
        return value

    def _uuid(self, match: re.Match[str]) -> str:
        uuid = match[0].lower()
        number = self._uuids.setdefault(uuid, f"{_NO_UUID[:-12]}{len(self._uuids) + 1:012x}")
        return number if uuid != _NO_UUID else _NO_UUID


def cmdline(text: str) -> str:
    """The kernel parameters that plans need (:data:`PARAMETERS`), in their order."""
    words = _WORD.findall(text.partition(" -- ")[0])  # what follows is for init
    return " ".join(word for word in words if _harmless(word)) + "\n"


def _harmless(word: str) -> bool:
    name, _, value = word.partition("=")
    return name.replace("-", "_") in _SAME and _VALUE.fullmatch(value) is not None


KEPT: dict[str, Callable[[str], str]] = {
    "/proc/cmdline": cmdline,
    "/proc/cpuinfo": lambda text: _SERIAL.sub("", text),
}
"""Files of which only a part is kept, with the function that selects it."""


def _content(path: str, content: bytes, anonymous: Callable[[str], str]) -> bytes:
    if _CONFIG_SPACE.fullmatch(path):
        return content[:_PUBLIC_CONFIG_SPACE]
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    if cut := KEPT.get(path):
        text = cut(text)
    return anonymous(text).encode()
