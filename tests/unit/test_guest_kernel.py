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

DEBIAN = (
    """\
linux-image-cloud-amd64:
  Installed: (none)
  Candidate: 6.1.192-3
  Version table:
     6.1.192-3 500
        500 http://mirror/debian-security bookworm-security/main amd64 Packages
     6.1.176-1 500
        500 http://mirror/debian bookworm/main amd64 Packages
""",
    """\
Package: linux-image-cloud-amd64
Versions:
6.1.192-3 (/var/lib/apt/lists/security_Packages.lz4)
6.1.176-1 (/var/lib/apt/lists/bookworm_Packages.lz4)

Reverse Depends:
  debian-cloud-images-packages,linux-image-cloud-amd64
Dependencies:
6.1.192-3 - linux-image-6.1.0-57-cloud-amd64 (5 6.1.192-3)
6.1.176-1 - linux-image-6.1.0-50-cloud-amd64 (5 6.1.176-1)
Provides:
6.1.192-3 - wireguard-modules (= 1.0.0) linux-latest-modules-6.1.0-57-cloud-amd64 (= )
6.1.176-1 - wireguard-modules (= 1.0.0) linux-latest-modules-6.1.0-50-cloud-amd64 (= )
Reverse Provides:
""",
)
"""As Debian 12 prints them, without descriptions and the spaces at the ends of lines; the addresses are shortened."""
UBUNTU = (
    "linux-image-virtual:\n  Installed: (none)\n  Candidate: 6.8.0-49.49\n",
    """\
Dependencies:
6.8.0-31.31 - linux-image-6.8.0-31-generic (0 (null)) intel-microcode (0 (null))
6.8.0-49.49 - linux-image-6.8.0-49-generic (0 (null)) intel-microcode (0 (null))
Provides:
""",
)
NONE = ("linux-image-cloud-amd64:\n  Installed: (none)\n  Candidate: (none)\n", "Dependencies: \nProvides: \n")
OTHER = (
    "linux-image-virtual:\n  Candidate: 1\n",
    "\nDependencies: \n1 - linux-image-generic (0 (null)) \nProvides: \n",
)
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
    assert parse_metapackage(*DEBIAN) == Kernel(
        "6.1.0-57-cloud-amd64", "6.1.192-3", ("linux-image-6.1.0-57-cloud-amd64",)
    )
    older = DEBIAN[0].replace("Candidate: 6.1.192-3", "Candidate: 6.1.176-1")  # by a pin
    assert parse_metapackage(older, DEBIAN[1]) == Kernel(
        "6.1.0-50-cloud-amd64", "6.1.176-1", ("linux-image-6.1.0-50-cloud-amd64",)
    )
    assert parse_metapackage(UBUNTU[0], "\n" + UBUNTU[1]) == Kernel(
        "6.8.0-49-generic", "6.8.0-49.49", ("linux-image-6.8.0-49-generic", "linux-modules-6.8.0-49-generic")
    )


@pytest.mark.parametrize("texts", [("", ""), NONE, OTHER, (DEBIAN[0], ""), ("", DEBIAN[1])])
def test_no_kernel_in_the_package_lists(texts: tuple[str, str]) -> None:
    assert parse_metapackage(*texts) is None


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
