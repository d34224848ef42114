"""Paths on one machine: which ports the generator opens, and how OVS joins them.

``loop``  the generator to itself over a ring: sets the most that can be offered, and shows that nothing is lost in it
``v2v``   generator → vhost-user → OVS → vhost-user → generator
``pvp``   generator → OVS → a guest that forwards (testpmd in a process of its own) → OVS → generator
"""

from __future__ import annotations

from dataclasses import dataclass

RING = 1024
"""Descriptors of each virtqueue: QEMU's most, and what plans give guests."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path by the links that OVS makes of it: frames that come in at one port leave at the other.

    Ports named ``left`` and ``right`` are the generator's, others a guest's.
    """

    name: str
    links: tuple[tuple[str, str], ...]

    @property
    def switched(self) -> bool:
        """Whether OVS is in it."""
        return bool(self.links)

    @property
    def guest_ports(self) -> tuple[str, ...]:
        """The ports of the guest in it."""
        ends = {end for link in self.links for end in link}
        return tuple(sorted(ends - {"left", "right"}))

    @property
    def ports(self) -> tuple[str, ...]:
        """All ports of OVS."""
        return ("left", "right", *self.guest_ports) if self.links else ()


PATHS = {
    path.name: path
    for path in (
        Path("loop", ()),
        Path("v2v", (("left", "right"),)),
        Path("pvp", (("left", "guest0"), ("guest1", "right"))),
    )
}


def virtio_user(number: int, socket: str, *, mac: str) -> str:
    """DPDK's virtio-user device that is the guest's end of a vhost-user port, as server (OVS is the client)."""
    return f"net_virtio_user{number},path={socket},server=1,queues=1,queue_size={RING},packed_vq=1,mac={mac}"


def mac_of(number: int) -> str:
    """Locally administered addresses of a path's ends."""
    return f"02:0c:00:00:00:{number + 1:02x}"
