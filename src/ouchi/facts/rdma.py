"""Who has RDMA connections: programs, and users in the kernel such as NFS, iSER and NVMe over fabrics.

They need no address on the interface (RoCE works with IPv6 link-local ones), and end when the NIC's driver goes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ouchi.facts.reading import names_in, probe_of, text_of
from ouchi.machine import Reader

DEVICES = "/sys/class/infiniband"

_CONNECTED = ("RTR", "RTS", "SQD", "SQE")
"""States in which a queue pair receives (InfiniBand architecture, volume 1, section 10.3.1)."""
_MANAGEMENT = ("SMI", "GSI")
_OWN = ("[ib_core]", "[mlx4_ib]", "[mlx5_ib]", "ovs-vswitchd")
"""The kernel's RDMA itself, and Open vSwitch, for which the NIC is."""


def rdma_users(reader: Reader) -> dict[str, tuple[str, ...]]:
    """Return the names of programs and kernel modules with connections, sorted.

    By the PCI address of the NIC, or the interface where the RDMA device is made of one by software (rxe, siw).
    """
    devices = {name: _below(reader, name) for name in names_in(reader, DEVICES)}
    found: dict[str, set[str]] = {}
    for device, user in connections(probe_of(reader, "rdma")) if devices else ():
        if below := devices.get(device):
            found.setdefault(below, set()).add(user)
    return {below: tuple(sorted(users)) for below, users in found.items()}


def connections(text: str) -> Iterator[tuple[str, str]]:
    """Yield device and user of each connected queue pair in the output of ``rdma resource show qp``.

    Lines ``link DEVICE/PORT KEY VALUE ... comm USER`` (iproute2's rdma/res-qp.c).
    """
    for line in text.split("\n"):
        pair, _, user = line.partition(" comm ")
        words = pair.split()
        values = dict(zip(words[::2], words[1::2], strict=False))
        user = user.strip()
        if user and user not in _OWN and values.get("state") in _CONNECTED and values.get("type") not in _MANAGEMENT:
            device = values.get("link", "").partition("/")[0]
            yield device, f"the kernel ({user[1:-1]})" if user.startswith("[") else user


def _below(reader: Reader, name: str) -> str:
    return text_of(reader, f"{DEVICES}/{name}/parent").strip() or reader.link(f"{DEVICES}/{name}/device")
