"""Which kernel a guest gets, and the order in which its drivers load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pytest

from ouchi.core.errors import Failed
from ouchi.machine import Path, Result
from ouchi.machine.local import LocalMachine
from ouchi.vnf.images.kernel import Kernel, load_order, parse_metapackage, parse_os_release
from ouchi.vnf.images.small import parse_ldd

DEBIAN = """\
Package: linux-image-cloud-amd64
Version: 6.1.192-2
Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)
"""
UBUNTU = """\
Package: linux-image-virtual
Version: 6.8.0-49.49
Depends: linux-image-6.8.0-49-generic, intel-microcode
"""
SHOWN = """\
builtin button
insmod /root/lib/modules/6.1/kernel/drivers/virtio/virtio_ring.ko.xz
insmod /root/lib/modules/6.1/kernel/drivers/net/virtio_net.ko.xz
insmod /root/lib/modules/6.1/kernel/drivers/virtio/virtio_ring.ko.xz
insmod /root/lib/modules/6.1/kernel/drivers/block/virtio_blk.ko.xz
"""
LACKING = """\
modprobe: WARNING: Module isofs not found in directory /root/lib/modules/6.1
modprobe: WARNING: Module evdev not found in directory /root/lib/modules/6.1
"""


class Modprobe(LocalMachine):
    """A machine with a modprobe that prints what it is given."""

    def __init__(self, output: str, errors: str = "") -> None:
        super().__init__()
        self.output, self.errors = output, errors

    def run(self, argv: Sequence[str | Path], **_options: Any) -> Result:
        assert argv[0] == "modprobe"
        return Result(tuple(map(str, argv)), 1 if self.errors else 0, self.output, self.errors)


def test_metapackage() -> None:
    assert parse_metapackage(DEBIAN) == Kernel(
        "6.1.0-56-cloud-amd64", "6.1.192-2", ("linux-image-6.1.0-56-cloud-amd64",)
    )
    assert parse_metapackage(UBUNTU) == Kernel(
        "6.8.0-49-generic", "6.8.0-49.49", ("linux-image-6.8.0-49-generic", "linux-modules-6.8.0-49-generic")
    )
    assert parse_metapackage("") is None
    assert parse_metapackage("Package: linux-image-virtual\nVersion: 1\nDepends: linux-image-generic\n") is None


def test_os_release() -> None:
    assert parse_os_release('PRETTY_NAME="Debian"\nVERSION_ID="12"\nID=debian\n') == ["debian"]
    assert parse_os_release('ID=pop\nID_LIKE="ubuntu debian"\n') == ["pop", "ubuntu", "debian"]


def test_each_driver_loads_once_after_what_it_needs() -> None:
    order = load_order(Modprobe(SHOWN), PurePath("/root"), "6.1", ["button", "virtio_net", "virtio_blk"])
    names = [path.rpartition("/")[2] for path in order]
    assert names == ["virtio_ring.ko.xz", "virtio_net.ko.xz", "virtio_blk.ko.xz"]


@pytest.mark.parametrize(("errors", "found"), [(LACKING, "without isofs, evdev"), ("modprobe: no memory", "no memory")])
def test_every_missing_driver_is_named(errors: str, found: str) -> None:
    with pytest.raises(Failed, match=found):
        load_order(Modprobe(SHOWN, errors), PurePath("/root"), "6.1", ["isofs", "virtio_net", "evdev"])


def test_libraries() -> None:
    text = (
        "\tlinux-vdso.so.1 (0x00007ffd)\n"
        "\tlibm.so.6 => /lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libm.so.6 (0x00007f00)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f01)\n"
    )
    assert parse_ldd(text) == ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
