"""The guest image: a disk of some 21 MB, made in seconds from the distribution's own packages.

A FAT file system without a partition table holds syslinux, the distribution's kernel for virtual machines and
an initramfs in which the whole guest lives: busybox, iperf3 and a few drivers. Nothing is mounted, no loop
device is needed and nothing runs as root, so it can be made anywhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePath

from ouchi.core.errors import Failed, error
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
"""What the host needs for making an image, and the package each comes from."""

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
"""The guest's own files: where each goes, and its mode."""

SIGNED = "~Module signature appended~"
"""How a signed module ends, but for the line feed."""


@dataclass(frozen=True, slots=True)
class Image:
    """A raw disk image: its path, the key of what it was made from, its size in bytes, and whether it was there."""

    path: PurePath
    key: str
    size: int
    reused: bool


def build_image(machine: Machine, folder: PurePath | str, say: Callable[[str], None]) -> Image:
    """The guest image in ``folder``, made unless there is one of the same kernel, programs and recipe.

    An image has its name only when it is complete: killed at any point, the next call starts over.
    Callers see to it that only one builds in a folder. Downloaded kernels are kept in ``folder`` as well.
    Raises :class:`Failed` when tools are missing, the kernel cannot be had, or a tool fails.
    """
    folder = PurePath(folder)
    machine.make_folder(folder)
    require_tools(machine)
    kernel = current_kernel(machine, folder)
    programs = guest_programs(machine)
    key = key_of(machine, kernel, programs)
    path = folder / f"guest-{key}.img"
    if machine.exists(path):
        return Image(path, key, size_of(machine, path), reused=True)

    for name in machine.entries(folder):
        if name.startswith(".building-"):  # somebody was killed here
            machine.remove(folder / name)
    work = PurePath(machine.run(["mktemp", "-d", str(folder / ".building-XXXXXX")]).stdout.strip())
    try:
        say(f"fetching the kernel {kernel.release}")
        packages = fetch(machine, kernel, folder, work)
        say("unpacking it")
        unpack(machine, packages, work)
        say("making the initramfs")
        fill_tree(machine, work / "tree", programs)
        add_modules(machine, kernel, work)
        pack_tree(machine, work)
        say("making the disk")
        make_disk(machine, kernel, work)
        machine.run(["sync", str(work / "disk")])
        machine.run(["mv", str(work / "disk"), str(path)])
    finally:
        machine.remove(work)
    return Image(path, key, size_of(machine, path), reused=False)


def require_tools(machine: Machine) -> None:
    """Raises :class:`Failed` naming every package that is missing for building."""
    if missing := [package for path, package in TOOLS.items() if not machine.exists(path)]:
        raise Failed(
            error(
                "tools for making the guest image are missing",
                where=", ".join(path for path in TOOLS if not machine.exists(path)),
                expected="the packages " + " ".join(missing),
                remedy="apt-get install --no-install-recommends " + " ".join(missing),
            )
        )


def guest_programs(machine: Machine) -> list[str]:
    """The host's files that go into the guest under the same paths: iperf3 and the libraries it loads."""
    return ["/usr/bin/iperf3", *parse_ldd(machine.run(["ldd", "/usr/bin/iperf3"]).stdout)]


def parse_ldd(text: str) -> list[str]:
    """The absolute paths in what ``ldd`` says.

    Variants for newer CPUs (``glibc-hwcaps``) are replaced by the one that runs everywhere.
    """
    return [re.sub(r"/glibc-hwcaps/[^/]+", "", path) for path in re.findall(r"(/\S+) \(0x", text)]


def key_of(machine: Machine, kernel: Kernel, programs: list[str]) -> str:
    """16 hexadecimal digits that stand for everything an image is made from."""
    digest = hashlib.sha256(f"{kernel}\n".encode())
    digest.update(machine.run(["sha256sum", "/bin/busybox", *programs]).stdout.encode())
    for file in ("small.py", "kernel.py", "guest/syslinux.cfg", *(f"guest/{name}" for name in GUEST_FILES)):
        digest.update(package_text(file).encode() + b"\0")
    return digest.hexdigest()[:16]


def unpack(machine: Machine, packages: list[PurePath], work: PurePath) -> None:
    """The kernel and its modules under ``work``/root; the modules in lib/modules whatever the package says."""
    root = work / "root"
    for package in packages:
        machine.run(["dpkg-deb", "-x", str(package), str(root)], timeout=120)
    if machine.exists(root / "usr/lib/modules"):
        machine.make_folder(root / "lib")
        machine.run(["mv", "-T", str(root / "usr/lib/modules"), str(root / "lib/modules")])


def fill_tree(machine: Machine, tree: PurePath, programs: list[str]) -> None:
    """Everything of the guest but its drivers."""
    for name in ("bin", "dev", "etc/acpi/PWRF", "modules", "proc", "sys"):
        machine.make_folder(tree / name)
    machine.run(["cp", "-L", "/bin/busybox", str(tree / "bin/busybox")])
    machine.run(["cp", "-L", "--parents", *programs, str(tree)])
    for link, target in (("init", "bin/busybox"), ("bin/sh", "busybox")):
        machine.run(["ln", "-s", target, str(tree / link)])
    for name, (place, mode) in GUEST_FILES.items():
        machine.write(tree / place, package_text(f"guest/{name}"), mode=mode)


def add_modules(machine: Machine, kernel: Kernel, work: PurePath) -> None:
    """The drivers into ``work``/tree/modules, ready to load, and lists of them in the order to load them."""
    root, tree = work / "root", work / "tree"
    machine.run(["depmod", "-b", str(root), kernel.release], timeout=120)
    modules = root / "lib/modules" / kernel.release
    texts = [machine.read(modules / name) for name in ("modules.dep", "modules.builtin")]
    always = load_order(texts[0], texts[1], DRIVERS)
    scsi = [path for path in load_order(texts[0], texts[1], SCSI_DRIVERS) if path not in always]

    machine.run(["cp", "-t", str(tree / "modules"), *always, *scsi], cwd=modules)
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
    """Cut the mark off a module's signature, so that the guest's kernel does not check it.

    Checking takes an emulated CPU 0.1 s for each module. Without the mark the rest of the signature is
    padding that nothing looks at.
    """
    length = len(SIGNED) + 1
    if machine.run(["tail", "-c", str(length), file]).stdout == SIGNED + "\n":
        machine.run(["truncate", "-s", f"-{length}", file])


def pack_tree(machine: Machine, work: PurePath) -> None:
    """``work``/tree as ``work``/initrd, in the form of LZ4 that kernels read.

    Measured with an emulated CPU: what LZ4 saves in reading through the BIOS is more than unpacking costs.
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
    # 2 MiB for syslinux and the tables; 4 KiB clusters, of which FAT16 wants 4085 to 65524.
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
