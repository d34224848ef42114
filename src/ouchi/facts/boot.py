"""The boot of a host: kernel command line, the IOMMU and why it is on or off, Secure Boot and lockdown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ouchi.facts.reading import bytes_of, names_in, text_of
from ouchi.machine import Reader

UNITS = "/sys/class/iommu"
GROUPS = "/sys/kernel/iommu_groups"
TABLES = "/sys/firmware/acpi/tables"
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
LOCKDOWN = "/sys/kernel/security/lockdown"

OFF = frozenset({"iommu=off", "intel_iommu=off", "amd_iommu=off"})
"""Kernel parameters that switch the IOMMU off."""

FIRMWARE = {"DMAR": "Intel VT-d", "IVRS": "AMD-Vi", "IORT": "Arm SMMU", "VIOT": "virtio"}
"""The ACPI tables by which firmware shows an IOMMU."""

NONE_SHOWN = "the firmware shows none"
"""How the reason begins for an IOMMU that no kernel can switch on."""

UNUSED = "but the kernel does not use it"
"""How the reason ends for an IOMMU that the firmware shows and the kernel leaves off."""

MODULE = "/sys/module"
MODULES = ("ib_uverbs", "mana_ib", "mlx4_ib", "mlx5_ib")
"""The modules that bifurcated drivers of DPDK need besides the NIC's own."""

IRQS = "/sys/kernel/irq"
LEGACY_IRQS = (9, 8, 1, 4, 0)
"""Interrupts of x86 that nearly every machine has, the one of ACPI first; they go through the I/O APIC."""

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


@dataclass(frozen=True, slots=True)
class Boot:
    """The boot of the running kernel.

    ``parameters``: its command line. ``iommu``: it keeps devices apart now, and ``iommu_reason`` says why (not).
    ``secure_boot`` is None without UEFI. ``lockdown`` is ``none``,
    ``integrity`` or ``confidentiality``, empty when the kernel does not say.

    ``interrupt_remapping``: interrupts of devices are checked as well (x86; None where it cannot be seen). ``modules``:
    those of :data:`MODULES` that are loaded. ``noiommu`` and ``unsafe_interrupts``: VFIO was allowed to do without an
    IOMMU, without interrupt remapping.
    """

    parameters: tuple[str, ...]
    iommu: bool
    iommu_reason: str
    secure_boot: bool | None
    lockdown: str
    interrupt_remapping: bool | None = None
    modules: tuple[str, ...] = ()
    noiommu: bool = False
    unsafe_interrupts: bool = False

    @property
    def iommu_impossible(self) -> bool:
        """No IOMMU now, and none after a reboot with ouchi's kernel parameters either."""
        unused = self.iommu_reason.endswith(UNUSED) and bool({"iommu=pt", "iommu.passthrough=1"} & set(self.parameters))
        return not self.iommu and (NONE_SHOWN in self.iommu_reason or unused)


def read_boot(reader: Reader) -> Boot:
    """Read how the running kernel was booted; what cannot be read is empty."""
    parameters = parse_parameters(text_of(reader, "/proc/cmdline"))
    on, reason = _iommu(reader, parameters)
    return Boot(
        parameters=parameters,
        iommu=on,
        iommu_reason=reason,
        secure_boot=_secure_boot(bytes_of(reader, SECURE_BOOT, 16)),
        lockdown=_chosen(text_of(reader, LOCKDOWN)),
        interrupt_remapping=_interrupt_remapping(reader),
        modules=tuple(name for name in MODULES if reader.exists(f"{MODULE}/{name}")),
        noiommu=_allowed(reader, parameters, "vfio", "enable_unsafe_noiommu_mode"),
        unsafe_interrupts=_allowed(reader, parameters, "vfio_iommu_type1", "allow_unsafe_interrupts"),
    )


def _interrupt_remapping(reader: Reader) -> bool | None:
    """The kernel names its interrupt controllers ``IR-IO-APIC`` where the IOMMU remaps (arch/x86, irq_remapping.c)."""
    names = [text_of(reader, f"{IRQS}/{number}/chip_name") for number in LEGACY_IRQS]
    controllers = {name for name in names if name.endswith("IO-APIC")}
    return any(name.startswith("IR-") for name in controllers) if controllers else None


def _allowed(reader: Reader, parameters: tuple[str, ...], module: str, name: str) -> bool:
    """Whether a parameter of a module is on: now, or, while the module is not loaded, by the kernel command line."""
    now = text_of(reader, f"{MODULE}/{module}/parameters/{name}")
    given = {f"{module}.{name}={value}" for value in ("1", "Y", "y")}
    return now in ("1", "Y") if now else bool(given & set(parameters))


def parse_parameters(cmdline: str) -> tuple[str, ...]:
    """The parameters of a kernel command line; double quotes hold one with spaces together."""
    return tuple(_WORD.findall(cmdline))


def _iommu(reader: Reader, parameters: tuple[str, ...]) -> tuple[bool, str]:
    units = names_in(reader, UNITS)
    if units:
        return True, f"on: {_listed(units)} under {UNITS}"
    groups = names_in(reader, GROUPS)
    # VFIO without an IOMMU makes groups too, which protect nothing; all of them are of that kind or none.
    if groups and text_of(reader, f"{GROUPS}/{groups[0]}/name") != "vfio-noiommu":
        return True, f"on: the kernel keeps devices apart in {len(groups)} groups under {GROUPS}"
    return False, f"off: {why_off(parameters, names_in(reader, TABLES))}"


def why_off(parameters: Iterable[str], tables: Iterable[str]) -> str:
    """Return why a kernel with this command line and these ACPI tables runs without an IOMMU."""
    words = set(parameters)
    if off := sorted(words & OFF):
        return f"the kernel command line says {_listed(off)}"
    names = set(tables)
    if not names:
        return f"the kernel shows none, and the firmware's tables cannot be seen ({TABLES})"
    shown = [table for table in FIRMWARE if table in names]
    if not shown:
        return f"{NONE_SHOWN} (no {', '.join(FIRMWARE)} table under {TABLES})"
    if shown == ["DMAR"] and not any(word.startswith("intel_iommu=") and "on" in word for word in words):
        return "intel_iommu=on is missing from the kernel command line of an Intel machine"
    named = ", ".join(f"{FIRMWARE[table]}, table {table}" for table in shown)
    return f"the firmware shows one ({named}), {UNUSED}"


def _secure_boot(variable: bytes) -> bool | None:
    """An EFI variable is four bytes of attributes and its value, here one byte."""
    return bool(variable[4]) if len(variable) == 5 and variable[4] in (0, 1) else None


def _chosen(text: str) -> str:
    """The word in brackets: ``none [integrity] confidentiality``."""
    match = re.search(r"\[(none|integrity|confidentiality)\]", text)
    return match[1] if match else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
