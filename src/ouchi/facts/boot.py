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

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


@dataclass(frozen=True, slots=True)
class Boot:
    """The boot of the running kernel.

    ``parameters``: its command line. ``iommu``: it keeps devices apart now, and ``iommu_reason`` says why (not).
    ``secure_boot`` is None without UEFI. ``lockdown`` is ``none``,
    ``integrity`` or ``confidentiality``, empty when the kernel does not say.
    """

    parameters: tuple[str, ...]
    iommu: bool
    iommu_reason: str
    secure_boot: bool | None
    lockdown: str


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
    )


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
    return f"the firmware shows one ({named}), but the kernel does not use it"


def _secure_boot(variable: bytes) -> bool | None:
    """An EFI variable is four bytes of attributes and its value, here one byte."""
    return bool(variable[4]) if len(variable) == 5 and variable[4] in (0, 1) else None


def _chosen(text: str) -> str:
    """The word in brackets: ``none [integrity] confidentiality``."""
    match = re.search(r"\[(none|integrity|confidentiality)\]", text)
    return match[1] if match else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
