"""Who has RDMA connections: programs, and users in the kernel such as NFS, iSER and NVMe over fabrics.

They need no address on the interface (RoCE works with IPv6 link-local ones), and end when the NIC's driver goes.
"""

from __future__ import annotations

import re

from ouchi.facts.reading import names_in, probe_of, text_of
from ouchi.machine import Reader

DEVICES = "/sys/class/infiniband"

_PAIR = re.compile(r"^link ([^/\s]+)/\S+ .*?type (\S+) state (\S+) .*?comm (\S.*?)\s*$", re.MULTILINE)
"""A queue pair as ``rdma resource show qp`` prints it (iproute2's rdma/res-qp.c)."""
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
    for device, kind, state, user in _PAIR.findall(probe_of(reader, "rdma")) if devices else ():
        below = devices.get(device)
        if below and kind not in _MANAGEMENT and state in _CONNECTED and user not in _OWN:
            found.setdefault(below, set()).add(f"the kernel ({user[1:-1]})" if user.startswith("[") else user)
    return {below: tuple(sorted(users)) for below, users in found.items()}


def _below(reader: Reader, name: str) -> str:
    return text_of(reader, f"{DEVICES}/{name}/parent").strip() or reader.link(f"{DEVICES}/{name}/device")
