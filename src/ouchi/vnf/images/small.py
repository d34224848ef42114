"""The guest image: a disk of some 21 MB, made in seconds from the distribution's own packages.

A FAT file system without a partition table holds syslinux, the distribution's kernel for virtual machines and
an initramfs in which the whole guest lives: busybox, iperf3 and a few drivers. Building it needs no mount,
no loop device and no root.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import PurePath

from ouchi.core.errors import Failed
from ouchi.machine import Machine
from ouchi.vnf.images.kernel import Kernel, current_kernel, fetch, load_order

TOOLS = {
    "/bin/busybox": "busybox-static",
    "/usr/bin/iperf3": "iperf3",
    "/usr/bin/cpio": "cpio",
    "/usr/bin/lz4": "lz4",
    "/usr/bin/mformat": "mtools",
    "/usr/bin/syslinux": "syslinux",
    "/usr/bin/xz": "xz-utils",
    "/usr/bin/zstd": "zstd",
    "/sbin/depmod": "kmod",
}
"""The tools for building an image, and the package of each."""

BUILD_PACKAGES = tuple(TOOLS.values())

DRIVERS = ("virtio_pci", "virtio_net", "virtio_blk", "isofs", "button", "evdev")
"""Loaded in every guest: ports, disk, config drive, power button."""

SCSI_DRIVERS = ("virtio_scsi", "sr_mod")
"""Loaded where there is a SCSI host: a config drive may be a CD-ROM on it."""

GUEST_FILES = {
    "inittab": ("etc/inittab", 0o644),
    "start": ("etc/start", 0o755),
    "address": ("etc/address", 0o755),
    "power": ("etc/acpi/PWRF/00000080", 0o755),
}
"""The guest's files: target path and mode."""

SIGNED = "~Module signature appended~"
"""The end of a signed module, without the line feed."""


@dataclass(frozen=True, slots=True)
class Image:
    """A raw disk image: its path, the key of its sources, its size in bytes (0 before it is built), and whether it existed."""

    path: PurePath
    key: str
    size: int
    reused: bool


def build_image(machine: Machine, folder: PurePath | str, say: Callable[[str], None]) -> Image:
    """The guest image in ``folder``, built unless one with the same kernel, programs and recipe exists.

    An image is renamed into place when it is complete; after a kill the next call starts over. Callers must not build
    twice in a folder at the same time. Downloaded kernels are cached in ``folder`` too. Raises :class:`Failed` when
    tools are missing, the kernel cannot be downloaded, or a tool fails.
    """
    folder = PurePath(folder)
    machine.make_folder(folder)
    image, kernel, programs = _planned(machine, folder)
    if image.reused:
        return image

    for name in machine.entries(folder):
        if name.startswith(".building-"):  # of a killed build
            machine.remove(folder / name)
    work = PurePath(machine.run(["mktemp", "-d", str(folder / ".building-XXXXXX")]).stdout.strip())
    try:
        say(f"fetching the kernel {kernel.release}")
        packages = fetch(machine, kernel, folder, work)
        say("unpacking it")
        unpack(machine, packages, work)
        say("building the initramfs")
        fill_tree(machine, work / "tree", programs)
        add_modules(machine, kernel, work)
        pack_tree(machine, work)
        say("building the disk")
        make_disk(machine, kernel, work)
        machine.run(["sync", str(work / "disk")])
        machine.run(["mv", str(work / "disk"), str(image.path)])
    finally:
        machine.remove(work)
    return replace(image, size=size_of(machine, image.path))


def planned_image(machine: Machine, folder: PurePath | str) -> Image:
    """The image that :func:`build_image` would return, built or not. Changes nothing; raises as it does."""
    return _planned(machine, PurePath(folder))[0]


def _planned(machine: Machine, folder: PurePath) -> tuple[Image, Kernel, list[str]]:
    require_tools(machine)
    kernel, programs = current_kernel(machine, folder), guest_programs(machine)
    key = key_of(machine, kernel, programs)
    path = folder / f"guest-{key}.img"
    there = machine.exists(path)
    return Image(path, key, size_of(machine, path) if there else 0, reused=there), kernel, programs


def require_tools(machine: Machine) -> None:
    """Raises :class:`Failed` naming every package that is missing for building."""
    if missing := [package for path, package in TOOLS.items() if not machine.exists(path)]:
        raise Failed.of(
            "tools for building the guest image are missing",
            where=", ".join(path for path in TOOLS if not machine.exists(path)),
            expected="the packages " + " ".join(missing),
            remedy="apt-get install --no-install-recommends " + " ".join(missing),
        )


def guest_programs(machine: Machine) -> list[str]:
    """The host's files that go into the guest under the same paths: iperf3 and the libraries it loads."""
    return ["/usr/bin/iperf3", *parse_ldd(machine.run(["ldd", "/usr/bin/iperf3"]).stdout)]


def parse_ldd(text: str) -> list[str]:
    """The absolute paths in ``ldd``'s output.

    Variants for newer CPUs (``glibc-hwcaps``) are replaced by the baseline one.
    """
    return [re.sub(r"/glibc-hwcaps/[^/]+", "", path) for path in re.findall(r"(/\S+) \(0x", text)]


def key_of(machine: Machine, kernel: Kernel, programs: list[str]) -> str:
    """A hash of all sources of an image: 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{kernel}\n".encode())
    digest.update(machine.run(["sha256sum", "/bin/busybox", *programs]).stdout.encode())
    for file in ("small.py", "kernel.py", "guest/syslinux.cfg", *(f"guest/{name}" for name in GUEST_FILES)):
        digest.update(package_text(file).encode() + b"\0")
    return digest.hexdigest()[:16]


def unpack(machine: Machine, packages: list[PurePath], work: PurePath) -> None:
    """The kernel and its modules under ``work``/root; the modules always in lib/modules."""
    root = work / "root"
    for package in packages:
        machine.run(["dpkg-deb", "-x", str(package), str(root)], timeout=120)
    if machine.exists(root / "usr/lib/modules"):
        machine.make_folder(root / "lib")
        machine.run(["mv", "-T", str(root / "usr/lib/modules"), str(root / "lib/modules")])


def fill_tree(machine: Machine, tree: PurePath, programs: list[str]) -> None:
    """The guest's file tree without drivers."""
    for name in ("bin", "dev", "etc/acpi/PWRF", "modules", "proc", "sys"):
        machine.make_folder(tree / name)
    machine.run(["cp", "-L", "/bin/busybox", str(tree / "bin/busybox")])
    machine.run(["cp", "-L", "--parents", *programs, str(tree)])
    for link, target in (("init", "bin/busybox"), ("bin/sh", "busybox")):
        machine.run(["ln", "-s", target, str(tree / link)])
    for name, (target, mode) in GUEST_FILES.items():
        machine.write(tree / target, package_text(f"guest/{name}"), mode=mode)


def add_modules(machine: Machine, kernel: Kernel, work: PurePath) -> None:
    """Add the drivers to ``work``/tree/modules, uncompressed, with lists of them in load order."""
    root, tree = work / "root", work / "tree"
    machine.run(["depmod", "-b", str(root), kernel.release], timeout=120)
    always = load_order(machine, root, kernel.release, DRIVERS)
    scsi = [path for path in load_order(machine, root, kernel.release, SCSI_DRIVERS) if path not in always]

    machine.run(["cp", "-t", str(tree / "modules"), *always, *scsi])
    for name in machine.entries(tree / "modules"):
        file = str(tree / "modules" / name)
        if name.endswith(".xz"):
            machine.run(["xz", "-d", file])
        elif name.endswith(".zst"):
            machine.run(["zstd", "-d", "-q", "--rm", file])
    for name in machine.entries(tree / "modules"):
        drop_signature(machine, str(tree / "modules" / name))
    for list_name, paths in (("modules", always), ("modules.scsi", scsi)):
        names = [PurePath(path).name.partition(".ko")[0] + ".ko" for path in paths]
        machine.write(tree / "etc" / list_name, "\n".join(names) + "\n")


def drop_signature(machine: Machine, file: str) -> None:
    """Strip the marker of a module's signature, so that the guest's kernel does not verify it.

    Verification takes an emulated CPU 0.1 s for each module. The rest of the signature is ignored without the marker.
    """
    length = len(SIGNED) + 1
    if machine.run(["tail", "-c", str(length), file]).stdout == SIGNED + "\n":
        machine.run(["truncate", "-s", f"-{length}", file])


def pack_tree(machine: Machine, work: PurePath) -> None:
    """``work``/tree as ``work``/initrd, in the kernel's legacy LZ4 format.

    Measured with an emulated CPU: LZ4 saves more in reading through the BIOS than unpacking costs.
    """
    listed = machine.run(["find", ".", "-mindepth", "1"], cwd=work / "tree").stdout
    machine.run(
        ["cpio", "-o", "-H", "newc", "--quiet", "--owner=+0:+0", "--reproducible", "-O", str(work / "initrd.cpio")],
        input="".join(sorted(listed.splitlines(keepends=True))),
        cwd=work / "tree",
    )
    machine.run(["lz4", "-l", "-9", "-q", str(work / "initrd.cpio"), str(work / "initrd")])


def make_disk(machine: Machine, kernel: Kernel, work: PurePath) -> None:
    """``work``/disk: FAT16 over the whole disk, with its boot sector as the disk's."""
    disk = str(work / "disk")
    vmlinuz, initrd = work / "root/boot" / f"vmlinuz-{kernel.release}", work / "initrd"
    machine.write(work / "syslinux.cfg", package_text("guest/syslinux.cfg"))
    # 2 MiB for syslinux and the tables; FAT16 needs 4085 to 65524 clusters (of 4 KiB).
    size = (size_of(machine, vmlinuz) + size_of(machine, initrd) + (2 << 20)) >> 20 << 20
    machine.run(["truncate", "-s", str(size), disk])
    machine.run(["mformat", "-i", disk, "-T", str(size // 512), "-c", "8", "-v", "OUCHI", "::"])
    for source, name in ((vmlinuz, "vmlinuz"), (initrd, "initrd"), (work / "syslinux.cfg", "syslinux.cfg")):
        machine.run(["mcopy", "-i", disk, str(source), f"::{name}"])
    machine.run(["syslinux", "--install", disk])


def size_of(machine: Machine, path: PurePath) -> int:
    """The size of a file in bytes."""
    return int(machine.run(["stat", "-c", "%s", str(path)]).stdout)


def package_text(name: str) -> str:
    """The text of a file beside this one."""
    return resources.files("ouchi.vnf.images").joinpath(name).read_text(encoding="utf-8")
