"""Kernel, firmware, distribution and installed DPDK drivers."""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.hosts.description import Host
from tests.hosts.tree import Tree

RELEASES = {
    "debian-12": ("Debian GNU/Linux 12 (bookworm)", "Debian GNU/Linux", "12", "bookworm", "debian"),
    "debian-13": ("Debian GNU/Linux 13 (trixie)", "Debian GNU/Linux", "13", "trixie", "debian"),
    "ubuntu-24.04": ("Ubuntu 24.04.2 LTS", "Ubuntu", "24.04", "noble", "ubuntu"),
}
ABI = {"22.11": "23", "23.11": "24", "24.11": "25", "25.11": "26"}  # DPDK's release → the number of its libraries
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def put_software(tree: Tree, host: Host) -> None:
    """Everything about a host that is neither CPU, memory nor PCI."""
    kernel = {"osrelease": host.kernel, "hostname": host.hostname}
    if tuple(int(part) for part in host.kernel.split("-")[0].split(".")[:2]) >= (6, 1):
        kernel["arch"] = host.architecture
    tree.put_all("/proc/sys/kernel", kernel)
    tree.put("/proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz-{host.kernel} root=/dev/vda1 ro {host.parameters}")
    tree.put("/proc/1/comm", host.pid1)
    pretty, name, version, codename, short = RELEASES[host.distribution]
    lines = f'PRETTY_NAME="{pretty}"\nNAME="{name}"\nVERSION_ID="{version}"\nVERSION_CODENAME={codename}\nID={short}\n'
    tree.put("/usr/lib/os-release", lines)
    tree.point("/etc/os-release", "/usr/lib/os-release")
    _firmware(tree, host)
    if host.kvm:
        tree.put("/dev/kvm", b"")
    for module in host.modules:
        tree.put(f"/sys/module/{module}/refcnt", "0")
    if host.ddp is not None:
        tree.put("/lib/firmware/regulatory.db", b"")
        for name in host.ddp:
            tree.put(f"/lib/firmware/intel/ice/ddp/{name}", b"")
    if host.architecture == "x86_64":
        remapped = host.remapped and host.iommu == "on"
        tree.put("/sys/kernel/irq/9/chip_name", "IR-IO-APIC" if remapped else "IO-APIC")
    if host.ovs:
        tree.put("/.ouchi/ovs-version", host.ovs)
    if host.dpdk:
        _drivers(tree, host)


def _firmware(tree: Tree, host: Host) -> None:
    vendor = host.virtual or host.vendor
    if vendor:
        folder = "/sys/devices/virtual/dmi/id"
        tree.put_all(folder, {"sys_vendor": vendor, "product_name": host.product})
        tree.point("/sys/class/dmi/id", folder)
    if host.secure_boot is not None:
        # Four bytes of attributes, then the variable: efivarfs shows them so.
        tree.put(SECURE_BOOT, bytes([6, 0, 0, 0, host.secure_boot]))
    if host.lockdown:
        modes = ("none", "integrity", "confidentiality")
        text = " ".join(f"[{mode}]" if mode == host.lockdown else mode for mode in modes)
        tree.put("/sys/kernel/security/lockdown", text)


def _drivers(tree: Tree, host: Host) -> None:
    """The libraries of DPDK's drivers where Debian and Ubuntu put them, with what each says of itself."""
    libraries: dict[str, list[str]] = {}
    known = {name: driver for name, driver in known_drivers().items() if driver.get("since", "") <= host.dpdk}
    for name in host.drivers or known:
        driver = known[name]
        libraries.setdefault(driver["library"], []).append(pmd_info(name))
    top = f"/usr/lib/{host.architecture}-linux-gnu"
    folder = f"{top}/dpdk/pmds-{ABI[host.dpdk]}.0"
    for library, infos in libraries.items():
        file = f"{library}.so.{ABI[host.dpdk]}"
        tree.put(f"{folder}/{file}.0", elf(infos))
        tree.point(f"{folder}/{file}", f"{folder}/{file}.0")
        tree.point(f"{top}/{file}", f"{folder}/{file}")
        tree.point(f"{top}/{file}.0", f"{folder}/{file}.0")


@cache
def known_drivers() -> dict[str, Any]:
    """Every driver by name: its library, its kernel modules as it writes them, and its PCI ids."""
    return dict(YAML(typ="safe", pure=True).load(Path(__file__).with_name("pmds.yaml").read_text()))


def pmd_info(name: str) -> str:
    """What a driver carries in its library: JSON after a marker, ids as numbers, 65535 for any subsystem."""
    driver = known_drivers()[name]
    ids = [[*(int(part, 16) for part in pair.split(":")), 65535, 65535] for pair in driver["ids"]]
    return "PMD_INFO_STRING= " + json.dumps({"name": name, "kmod": driver["kmods"], "pci_ids": ids})


def elf(texts: list[str]) -> bytes:
    """A 64-bit shared object with nothing but read-only data: the texts, each ended by a zero byte."""
    data = b"".join(text.encode() + b"\0" for text in texts)
    names = b"\0.rodata\0.shstrtab\0"
    data_at, names_at = 64, 64 + len(data)
    sections_at = -(-(names_at + len(names)) // 8) * 8
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)  # 64 bits, little-endian, version 1, System V
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, sections_at, 0, 64, 0, 0, 64, 3, 2)
    rodata = struct.pack("<IIQQQQIIQQ", 1, 1, 2, data_at, data_at, len(data), 0, 0, 8, 0)
    strings = struct.pack("<IIQQQQIIQQ", 9, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return (header + data + names).ljust(sections_at, b"\0") + bytes(64) + rodata + strings
