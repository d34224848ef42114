"""Paths on one host: the generator's ports, and the links between them and the guests' ports.

``loop``    generator → ring → generator: the most that can be offered, and proof that the generator itself loses nothing
``v2v``     generator → vhost-user → OVS → vhost-user → generator
``pvp``     generator → OVS → a forwarding guest → OVS → generator
``pvvp``    generator → OVS → a guest → OVS → a second guest → OVS → generator
``p2p``     generator's NIC → wire → OVS's NIC → OVS → its other NIC → wire → generator; with one wire, back over it
``kernel``  generator → veth → Linux bridge → veth → generator: v2v without OVS-DPDK
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

LEFT, RIGHT = "left", "right"
GuestKind = Literal["testpmd", "vm"]


@dataclass(frozen=True, slots=True)
class Path:
    """A path by its links: frames received on one port of a link leave at the other.

    Ports named ``left`` and ``right`` are the generator's, the others a guest's: ``guest0`` and ``guest1`` of the
    first guest, ``guest2`` and ``guest3`` of the second. ``wired``: the generator's ports are cabled to the switch's
    NICs.
    """

    name: str
    links: tuple[tuple[str, str], ...]
    kind: Literal["loop", "ovs", "kernel"] = "ovs"
    wired: bool = False

    @property
    def through_ovs(self) -> bool:
        """Whether OVS forwards."""
        return self.kind == "ovs"

    @property
    def generator_ports(self) -> tuple[str, ...]:
        """``left``, and ``right`` where frames are received at another port."""
        return tuple(end for end in (LEFT, RIGHT) if end == LEFT or any(end in link for link in self.links))

    @property
    def guests(self) -> tuple[tuple[str, str], ...]:
        """The two ports of each guest, in the order in which frames from the left pass them."""
        ends = sorted(end for link in self.links for end in link if end not in (LEFT, RIGHT))
        return tuple(zip(ends[::2], ends[1::2], strict=True))

    @property
    def ports(self) -> tuple[str, ...]:
        """All ports of the datapath."""
        return (*self.generator_ports, *(end for guest in self.guests for end in guest)) if self.links else ()

    @property
    def directions(self) -> tuple[tuple[str, str], ...]:
        """The TX and RX port of each direction; the first is from the left."""
        if len(self.generator_ports) == 1:
            return ((LEFT, LEFT),)
        return ((LEFT, RIGHT), (RIGHT, LEFT))

    def over_wires(self, wires: int) -> Path:
        """The path over this number of cables: with a single one, frames return over it."""
        return replace(self, links=((LEFT, LEFT),)) if self.wired and wires == 1 else self


PATHS = {
    path.name: path
    for path in (
        Path("loop", (), "loop"),
        Path("v2v", ((LEFT, RIGHT),)),
        Path("pvp", ((LEFT, "guest0"), ("guest1", RIGHT))),
        Path("pvvp", ((LEFT, "guest0"), ("guest1", "guest2"), ("guest3", RIGHT))),
        Path("p2p", ((LEFT, RIGHT),), wired=True),
        Path("kernel", ((LEFT, RIGHT),), "kernel"),
    )
}


def mac_of(number: int) -> str:
    """The locally administered MAC address of a port: 0 the generator's left, 1 its right, from 2 the guests'."""
    return f"02:0c:00:00:00:{number + 1:02x}"
