"""Which kernel a guest gets, and the order in which its drivers load."""

from __future__ import annotations

import pytest

from ouchi.core.errors import Failed
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
DEPENDENCIES = """\
kernel/drivers/virtio/virtio.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz
kernel/drivers/virtio/virtio_ring.ko.xz:
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/virtio/virtio.ko.xz kernel/drivers/virtio/virtio_ring.ko.xz kernel/net/core/failover.ko.xz
kernel/net/core/failover.ko.xz:
kernel/net/sctp/sctp.ko.xz:
"""


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


def test_each_driver_loads_after_what_it_needs() -> None:
    order = load_order(DEPENDENCIES, "kernel/drivers/acpi/button.ko\n", ["button", "virtio_net"])
    names = [path.rpartition("/")[2] for path in order]
    assert names == ["virtio_ring.ko.xz", "virtio.ko.xz", "failover.ko.xz", "virtio_net.ko.xz"]


def test_every_missing_driver_is_named() -> None:
    with pytest.raises(Failed, match="without isofs, evdev"):
        load_order(DEPENDENCIES, "", ["isofs", "virtio_net", "evdev"])


def test_libraries() -> None:
    text = (
        "\tlinux-vdso.so.1 (0x00007ffd)\n"
        "\tlibm.so.6 => /lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libm.so.6 (0x00007f00)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f01)\n"
    )
    assert parse_ldd(text) == ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
