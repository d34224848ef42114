"""Paths on one machine: which ports the generator opens, and what joins them.

``loop``    the generator to itself over a ring: sets the most that can be offered, and shows that nothing is lost in it
``v2v``     generator → vhost-user → OVS → vhost-user → generator
``pvp``     generator → OVS → a guest that forwards → OVS → generator
``pvvp``    generator → OVS → a guest → OVS → a second guest → OVS → generator
``p2p``     generator's card → wire → OVS's card → OVS → its other card → wire → generator; with one wire, back over it
``kernel``  generator → veth → the kernel's bridge → veth → generator: v2v without DPDK in the middle
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

RING = 1024
"""Descriptors of each virtqueue: QEMU's most, and what plans give guests."""

LEFT, RIGHT = "left", "right"


@dataclass(frozen=True, slots=True)
class Path:
    """A path by the links that its carrier makes of it: frames that come in at one port leave at the other.

    Ports named ``left`` and ``right`` are the generator's, others a guest's: ``guest0`` and ``guest1`` of the first
    one, ``guest2`` and ``guest3`` of the second. ``wired``: the generator's ports have cables to cards of the switch.
    """

    name: str
    links: tuple[tuple[str, str], ...]
    carrier: Literal["ring", "ovs", "kernel"] = "ovs"
    wired: bool = False

    @property
    def switched(self) -> bool:
        """Whether OVS is in it."""
        return self.carrier == "ovs"

    @property
    def generator_ports(self) -> tuple[str, ...]:
        """``left``, and ``right`` where frames come out at another port."""
        return tuple(end for end in (LEFT, RIGHT) if end == LEFT or any(end in link for link in self.links))

    @property
    def guests(self) -> tuple[tuple[str, str], ...]:
        """The two ports of each guest, in the order in which frames from the left meet them."""
        ends = sorted(end for link in self.links for end in link if end not in (LEFT, RIGHT))
        return tuple(zip(ends[::2], ends[1::2], strict=True))

    @property
    def ports(self) -> tuple[str, ...]:
        """All ports of the carrier."""
        return (*self.generator_ports, *(end for guest in self.guests for end in guest)) if self.links else ()

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """From which port to which one frames go; the first from the left."""
        if len(self.generator_ports) == 1:
            return ((LEFT, LEFT),)
        return ((LEFT, RIGHT), (RIGHT, LEFT))

    def over_wires(self, wires: int) -> Path:
        """The path as so many cables make it: over a single one frames come back the way they went."""
        return replace(self, links=((LEFT, LEFT),)) if self.wired and wires == 1 else self


PATHS = {
    path.name: path
    for path in (
        Path("loop", (), "ring"),
        Path("v2v", ((LEFT, RIGHT),)),
        Path("pvp", ((LEFT, "guest0"), ("guest1", RIGHT))),
        Path("pvvp", ((LEFT, "guest0"), ("guest1", "guest2"), ("guest3", RIGHT))),
        Path("p2p", ((LEFT, RIGHT),), wired=True),
        Path("kernel", ((LEFT, RIGHT),), "kernel"),
    )
}


def virtio_user(number: int, socket: str, *, mac: str) -> str:
    """DPDK's virtio-user device that is the guest's end of a vhost-user port, as server (OVS is the client)."""
    return f"net_virtio_user{number},path={socket},server=1,queues=1,queue_size={RING},packed_vq=1,mac={mac}"


def mac_of(number: int) -> str:
    """Locally administered addresses of a path's ends: 0 the generator's left, 1 its right, 2 and on the guests'."""
    return f"02:0c:00:00:00:{number + 1:02x}"
