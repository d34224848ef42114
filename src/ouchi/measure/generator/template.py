"""Stream templates: what is sent in each direction, before frame size, flows and MAC addresses are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ouchi.core.errors import Finding
from ouchi.measure.generator.flows import PORTS_THEN_ADDRESSES, Vary
from ouchi.measure.generator.frames import Headers
from ouchi.measure.generator.imix import genome
from ouchi.measure.generator.rates import FCS
from ouchi.measure.generator.streams import Stream, make_stream

CAPTURE_SIZE = "capture"
"""The frame size of a capture, as named in a run."""


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """Frames built from headers, one set for each direction; their MAC addresses are the path's.

    ``description``: for the run's folder; empty for the default. ``notes``: warnings about what is sent.
    """

    headers: tuple[Headers, Headers]
    vary: Sequence[Vary] = PORTS_THEN_ADDRESSES
    description: str = ""
    notes: tuple[Finding, ...] = ()

    @property
    def tagged(self) -> bool:
        """Whether access ports of a switch would drop its frames, or may: VLAN tags, captures."""
        return bool(self.headers[0].vlans)

    def routable(self) -> bool:
        """Whether a guest that routes IPv4 between 198.18.0.0/16 and 198.19.0.0/16 forwards its frames."""
        networks = [[str(address).split(".")[:2] for address in (each.src_ip, each.dst_ip)] for each in self.headers]
        left, right = ["198", "18"], ["198", "19"]
        return not self.tagged and networks == [[left, right], [right, left]]

    def sizes(self, size: str) -> tuple[int, ...]:
        """The frame sizes in bytes for a size or the name of a mix."""
        return genome(size)

    def stream(self, direction: int, name: str, size: str, *, flows: int, macs: tuple[str, str]) -> Stream:
        """The stream of a direction (0: from the left) with these source and destination MACs. Raises BadInput."""
        headers = replace(self.headers[direction], src_mac=macs[0], dst_mac=macs[1])
        return make_stream(name, headers, size=size, flows=flows, vary=self.vary)


@dataclass(frozen=True, slots=True)
class CaptureTemplate:
    """The prepared frames of a capture, sent as they are in each direction; members as of :class:`HeaderTemplate`."""

    replay: Stream
    description: str
    notes: tuple[Finding, ...] = ()

    @property
    def tagged(self) -> bool:
        return True

    def routable(self) -> bool:
        return False

    def sizes(self, size: str) -> tuple[int, ...]:
        return tuple(len(frame) + FCS for frame in self.replay.frames)

    def stream(self, direction: int, name: str, size: str, *, flows: int, macs: tuple[str, str]) -> Stream:
        return replace(self.replay, name=name)


Template = HeaderTemplate | CaptureTemplate
"""What is sent in both directions of a path."""


def mirrored(headers: Headers) -> Headers:
    """The headers of the opposite direction: addresses and ports swapped, a tunnel's destination port kept."""
    src_port, dst_port = headers.dst_port, headers.src_port
    if headers.tunnel:
        src_port, dst_port = headers.src_port, headers.dst_port
    tunnel = headers.tunnel and replace(headers.tunnel, inner=mirrored(headers.tunnel.inner))
    return replace(
        headers,
        src_mac=headers.dst_mac,
        dst_mac=headers.src_mac,
        src_ip=headers.dst_ip,
        dst_ip=headers.src_ip,
        src_port=src_port,
        dst_port=dst_port,
        tunnel=tunnel,
    )


UDP_IPV4 = Headers(
    src_mac="02:0c:00:00:00:01",
    dst_mac="02:0c:00:00:00:02",
    src_ip="198.18.0.1",
    dst_ip="198.19.0.1",
    src_port=1024,
    dst_port=1024,
)
"""UDP between RFC 2544's benchmark addresses."""
DEFAULT = HeaderTemplate((UDP_IPV4, mirrored(UDP_IPV4)))
"""Each direction has its own addresses, so that nothing is taken for an answer to the other."""
