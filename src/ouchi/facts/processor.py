"""The processor of a host: vendor, model and capabilities."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ouchi.facts.cpu import ROOT, Cpu
from ouchi.facts.reading import names_in, text_of, whole
from ouchi.facts.system import cpu_flags
from ouchi.machine import Reader

# Linux: arch/arm64/include/asm/cputype.h. /proc/cpuinfo gives arm64 processors by number only.
MAKERS = {
    0x41: "ARM", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA", 0x50: "APM",
    0x51: "Qualcomm", 0x61: "Apple", 0x6D: "Microsoft", 0xC0: "Ampere",
}  # fmt: skip
MODELS = {
    (0x41, 0xD03): "Cortex-A53", (0x41, 0xD05): "Cortex-A55", (0x41, 0xD07): "Cortex-A57", (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0A): "Cortex-A75", (0x41, 0xD0B): "Cortex-A76", (0x41, 0xD0C): "Neoverse-N1", (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1", (0x41, 0xD41): "Cortex-A78", (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD49): "Neoverse-N2", (0x41, 0xD4F): "Neoverse-V2", (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD84): "Neoverse-V3", (0x41, 0xD8E): "Neoverse-N3", (0x43, 0x0AF): "ThunderX2", (0x48, 0xD01): "TSV110",
    (0xC0, 0xAC3): "Ampere-1", (0xC0, 0xAC4): "Ampere-1A",
}  # fmt: skip

_STATE = re.compile(r"state([0-9]{1,2})")
_ARM = re.compile(r"^CPU (implementer|part)\s*:\s*0x([0-9a-f]{1,4})\s*$", re.MULTILINE)
_MORE_THAN_ANY = 4096  # entries; a heterogeneous arm64 processor names each of its few parts among its first CPUs


@dataclass(frozen=True, slots=True)
class CState:
    """An idle state of CPU 0, as of all its like: its name, the time to leave it, and whether it is switched off."""

    name: str
    latency_us: int
    disabled: bool


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor as a whole.

    ``vendor`` and ``model`` are as in ``/proc/cpuinfo`` (``AuthenticAMD``), on arm64 names for its numbers.
    ``virtualisation`` is ``vmx``, ``svm``, ``arm`` or empty. ``smt``: cores have more than one thread now.
    ``cstates`` from the lightest to the deepest.
    """

    vendor: str
    model: str
    virtualisation: str
    smt: bool
    cstates: tuple[CState, ...]


def read_processor(reader: Reader, cpuinfo: str, cpus: Iterable[Cpu]) -> Processor:
    """The processor's facts; what cannot be read is empty. ``cpuinfo`` is the text of ``/proc/cpuinfo``."""
    vendor, model = parse_model(cpuinfo)
    return Processor(
        vendor=vendor,
        model=model,
        virtualisation=_virtualisation(reader, cpuinfo),
        smt=_smt(reader, cpus),
        cstates=_cstates(reader),
    )


def parse_model(cpuinfo: str) -> tuple[str, str]:
    """The processor's vendor and model in ``/proc/cpuinfo``; numbers stay numbers where nobody has named them."""
    if "CPU implementer" in cpuinfo:
        numbers = _ARM.findall(cpuinfo)[:_MORE_THAN_ANY]
        makers = [int(number, 16) for key, number in numbers if key == "implementer"]
        parts = [int(number, 16) for key, number in numbers if key == "part"]
        kinds = dict.fromkeys(zip(makers, parts, strict=False))  # each once, in the order of the CPUs
        vendors = dict.fromkeys(MAKERS.get(maker, f"{maker:#x}") for maker in makers)
        return " + ".join(vendors), " + ".join(MODELS.get(kind, f"{kind[1]:#x}") for kind in kinds)
    return _line(cpuinfo, "vendor_id"), " ".join(_line(cpuinfo, "model name").split())


def _line(cpuinfo: str, key: str) -> str:
    match = re.search(rf"^{key}[ \t]*:[ \t]*(.*)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else ""


def _virtualisation(reader: Reader, cpuinfo: str) -> str:
    flags = cpu_flags(cpuinfo)
    if "CPU implementer" in cpuinfo:  # arm64 has no flag for it: the kernel makes the device where it can be used
        return "arm" if reader.exists("/dev/kvm") else ""
    return next((flag for flag in ("vmx", "svm") if flag in flags), "")


def _smt(reader: Reader, cpus: Iterable[Cpu]) -> bool:
    active = text_of(reader, f"{ROOT}/smt/active")
    if active in ("0", "1"):
        return active == "1"
    online = [cpu for cpu in cpus if cpu.online]
    numbers = {cpu.id for cpu in online}
    return any(len(numbers.intersection(cpu.siblings)) > 1 for cpu in online)


def _cstates(reader: Reader) -> tuple[CState, ...]:
    folder = f"{ROOT}/cpu0/cpuidle"
    numbers = sorted(int(match[1]) for name in names_in(reader, folder) if (match := _STATE.fullmatch(name)))
    return tuple(
        CState(
            name=text_of(reader, f"{folder}/state{number}/name"),
            latency_us=max(0, whole(text_of(reader, f"{folder}/state{number}/latency"), 0)),
            disabled=text_of(reader, f"{folder}/state{number}/disable") not in ("", "0"),
        )
        for number in numbers
    )
