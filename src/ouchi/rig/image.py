"""The rig's disk: Debian 13 with GRUB, systemd, DPDK and Open vSwitch, as a compressed image.

mmdebstrap makes a tar file, mke2fs a file system of it inside a file with a partition table, and GRUB is put there by
the image's own first boot. Nothing is mounted and no loop device is needed, so root is not needed either where
user namespaces are allowed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePath
from shlex import quote

from ouchi.core.errors import Failed, error
from ouchi.core.events import Notify
from ouchi.machine import CommandFailed, Machine
from ouchi.rig.building import building, digest
from ouchi.rig.debian import SUITE, bootstrap
from ouchi.rig.tools import Tools

SYSTEM = (
    "linux-image-amd64", "initramfs-tools", "zstd", "systemd", "systemd-sysv", "udev", "dbus", "kmod", "grub-pc-bin",
    "grub2-common", "e2fsprogs", "openssh-server", "sudo", "ca-certificates", "less", "procps",
)  # fmt: skip
HOST = (
    "pciutils", "iproute2", "iputils-ping", "ethtool", "numactl", "driverctl", "irqbalance", "dpdk", "dpdk-dev", "openvswitch-switch-dpdk",
    "librte-mempool-ring25", "librte-net-af-packet25", "librte-net-e1000-25", "librte-net-null25", "librte-net-tap25",
    "librte-net-vhost25", "librte-net-virtio25",
)  # fmt: skip
"""Packages of an NFV host."""

MANAGERS = ("dosfstools", "fdisk", "ifupdown", "netplan.io", "network-manager", "systemd-boot", "tuned")
"""Other software that manages boot entries, the network or CPUs, so that changes of a host can be tested beside it. All
of it is off (``guest/setup``): the rig boots with GRUB, and systemd-networkd configures its network. With the first two
a test makes the EFI partition that systemd-boot's entries are on."""

PYTHON = (
    "python3", "python3-click", "python3-jinja2", "python3-keystoneauth1", "python3-pydantic", "python3-requests",
    "python3-rich", "python3-ruamel.yaml",
)  # fmt: skip
"""Packages that ouchi itself needs."""

FILES = {
    "finish": ("usr/lib/ouchi-rig/finish", 0o755),
    "grub": ("etc/default/grub", 0o644),
    "initramfs.conf": ("etc/initramfs-tools/conf.d/ouchi-rig", 0o644),
    "initramfs.modules": ("usr/share/initramfs-tools/modules.d/ouchi-rig", 0o644),
    "management.network": ("etc/systemd/network/80-management.network", 0o644),
    "modprobe.conf": ("etc/modprobe.d/ouchi-rig.conf", 0o644),
    "setup": ("usr/lib/ouchi-rig/setup", 0o755),
    "sshd.conf": ("etc/ssh/sshd_config.d/ouchi-rig.conf", 0o644),
}
"""The image's own files: the path and mode of each."""

HOST_KEY = "etc/ssh/ssh_host_ed25519_key.pub"
UUID = "6f756368-6921-4967-8872-69672d726f6f"
SIZE = 8 << 30
"""Bytes of the disk; what is not written takes no room."""
SECTOR = 512
BEGIN = 2048  # sectors before the partition, where GRUB has its second part
FINISHED = "ouchi-rig: the boot loader is there"
FINISH_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Image:
    """A folder with the disk, the key that logs in to it, and the key that it shows; and what it was made from."""

    folder: PurePath
    key: str

    @property
    def disk(self) -> PurePath:
        """A compressed qcow2, which is only read."""
        return self.folder / "disk.qcow2"

    @property
    def identity(self) -> PurePath:
        """The private key for root and for the user ouchi."""
        return self.folder / "key"

    @property
    def host_key(self) -> PurePath:
        """The public key of the rig's sshd."""
        return self.folder / "ssh_host_ed25519_key.pub"


def build_image(machine: Machine, tools: Tools, cache: PurePath, notify: Notify) -> Image:
    """The image in ``cache``, built unless there is one with the same key.

    Raises :class:`~ouchi.core.errors.Failed` when Debian's packages cannot be downloaded or a tool fails.
    """
    key = image_key()
    image = Image(cache / f"image-{key}", key)
    if machine.exists(image.folder):
        return image
    with building(machine, image.folder) as work:
        notify("making the keys")
        make_key(machine, work)
        notify("fetching and unpacking Debian's packages")
        make_root(machine, work)
        notify("making the file system")
        make_disk(machine, tools, work)
        notify("installing the boot loader")
        finish(machine, tools, work)
        notify("compressing the disk")
        compress(machine, tools, work)
    return image


def image_key() -> str:
    """The key of everything that the image is built from: the packages, the files and this module."""
    return digest(SUITE, package_text("image.py"), *(package_text(f"guest/{name}") for name in FILES))


def make_key(machine: Machine, work: PurePath) -> None:
    """A key pair for this image alone, without a passphrase."""
    machine.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ouchi-rig", "-f", str(work / "key")))


def make_root(machine: Machine, work: PurePath) -> None:
    """``work``/root.tar, and its kernel, initramfs and host key in ``work``."""
    tree = work / "tree"
    for name, (path, mode) in FILES.items():
        machine.make_folder((tree / path).parent)
        machine.write(tree / path, package_text(f"guest/{name}"), mode=mode)
    machine.run(("cp", str(work / "key.pub"), str(tree / "usr/lib/ouchi-rig/key.pub")))
    options = (
        # This clean-up would make the next boot a first boot, which enables services.
        "--skip=cleanup/reproducible",
        # Before the other packages: the kernel's package builds the initramfs.
        f"--essential-hook=sync-in {quote(str(tree))} /",
        f'--customize-hook=chroot "$1" /usr/lib/ouchi-rig/setup {UUID}',
        f"--customize-hook=copy-out /boot /{HOST_KEY} /usr/lib/ouchi-rig/packages {quote(str(work))}",
    )
    bootstrap(machine, "minbase", work / "root.tar", (*SYSTEM, *HOST, *MANAGERS, *PYTHON), options)
    machine.remove(tree)


def make_disk(machine: Machine, tools: Tools, work: PurePath) -> None:
    """``work``/disk.raw: a partition table and one ext4 file system with all of root.tar."""
    disk = str(work / "disk.raw")
    machine.write(disk, partition_table())
    machine.run(("truncate", "-s", str(SIZE), disk))
    options = f"offset={BEGIN * SECTOR},lazy_itable_init=0,lazy_journal_init=0,hash_seed={UUID}"
    kilobytes = (SIZE - BEGIN * SECTOR) >> 10
    argv = ("-q", "-t", "ext4", "-U", UUID, "-L", "rig", "-E", options, "-d", str(work / "root.tar"), disk)
    machine.run(tools.argv("mke2fs", *argv, f"{kilobytes}k"), timeout=300, env={"TZ": "UTC"})
    machine.remove(work / "root.tar")


def partition_table() -> bytes:
    """The first sector: one Linux partition (type 0x83), to be booted, from :data:`BEGIN` to the end.

    A master boot record: 440 bytes of code, a serial number, four entries, the signature 55 AA. The obsolete addresses
    by cylinder are set to their maximum.
    """
    beyond = b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0x80, beyond, 0x83, beyond, BEGIN, SIZE // SECTOR - BEGIN)
    return bytes(440) + b"ouch" + bytes(2) + entry + bytes(3 * 16) + b"\x55\xaa"


def finish(machine: Machine, tools: Tools, work: PurePath) -> None:
    """Boot the disk once with a kernel given to QEMU; its init process installs GRUB and powers it off."""
    names = machine.entries(work / "boot")
    kernel, initramfs = (
        next(name for name in names if name.startswith(prefix)) for prefix in ("vmlinuz-", "initrd.img-")
    )
    argv = tools.qemu(
        *("-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1G", "-no-reboot"),
        *("-serial", "stdio", "-drive", f"file={work}/disk.raw,format=raw,if=virtio,cache=unsafe"),
        *("-kernel", f"{work}/boot/{kernel}", "-initrd", f"{work}/boot/{initramfs}"),
        *("-append", "root=/dev/vda1 ro console=ttyS0 quiet init=/usr/lib/ouchi-rig/finish"),
    )
    try:
        output = machine.run(argv, timeout=FINISH_SECONDS).stdout
    except CommandFailed as failure:
        output = failure.result.stdout + str(failure)
    if FINISHED not in output:
        raise Failed(
            error(
                "the boot loader could not be installed on the rig's disk",
                found=" | ".join(output.strip().splitlines()[-6:]),
                expected=FINISHED,
                remedy="ouchi rig up, which starts over",
            )
        )


def compress(machine: Machine, tools: Tools, work: PurePath) -> None:
    """``work``/disk.qcow2; what it was made from is deleted."""
    raw, packed = str(work / "disk.raw"), str(work / "disk.qcow2")
    machine.run(
        tools.argv("qemu-img", "convert", "-O", "qcow2", "-c", "-o", "compression_type=zstd", raw, packed), timeout=600
    )
    machine.remove(raw)
    machine.remove(work / "boot")


def package_text(name: str) -> str:
    """The text of a file of this package."""
    return resources.files("ouchi.rig").joinpath(name).read_text(encoding="utf-8")
