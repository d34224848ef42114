"""Frames and their headers: Ethernet, VLAN and QinQ, IPv4 and IPv6, UDP and TCP, VXLAN and Geneve.

A frame is bytes without FCS whose last twelve are zero. The generator replaces them by its signature, whose ones'
complement sum is zero, so that checksums over the zeros stay valid. Sizes are in bytes and include FCS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Literal

from ouchi.core.errors import BadInput, Finding, error
from ouchi.measure.generator.imix import MIN_SIZE
from ouchi.measure.generator.rates import FCS
from ouchi.measure.generator.scapy_loader import load_scapy

if TYPE_CHECKING:
    from scapy.packet import Packet

SIGNATURE = 12
"""Bytes of the generator's signature at the end of each frame."""
VXLAN_PORT = 4789
GENEVE_PORT = 6081

_ETHERNET, _TAG, _IPV4, _IPV6, _UDP, _TCP, _TUNNEL = 14, 4, 20, 40, 8, 20, 8
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """The headers of a frame, outermost first.

    ``vlans`` are VLAN ids, outermost first: one is an 802.1Q tag, two are 802.1ad (QinQ). With a ``tunnel`` these
    are the outer headers, ``protocol`` is UDP, and ``dst_port`` is the tunnel endpoint's port
    (:data:`VXLAN_PORT`, :data:`GENEVE_PORT`). TCP frames are ACK segments that belong to no connection.
    """

    src_mac: str
    dst_mac: str
    src_ip: str
    dst_ip: str
    src_port: int
    dst_port: int
    vlans: tuple[int, ...] = ()
    protocol: Literal["udp", "tcp"] = "udp"
    tunnel: Tunnel | None = None


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The payload of the outer headers: a network identifier (24 bits) and an inner frame, not tunnelled itself.

    The outer UDP checksum is zero (none): RFC 7348 section 5 asks for it in VXLAN, RFC 8926 section 4.3 and RFC 6936
    allow it for Geneve and IPv6, and Open vSwitch does the same.
    """

    kind: Literal["vxlan", "geneve"]
    vni: int
    inner: Headers


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte offsets in a frame: of the VLAN ids, the IP header, the UDP or TCP header and its end."""

    vlans: tuple[int, ...]
    ip: int
    l4: int
    end: int
    ip_checksum: int | None
    """None with IPv6, which has none."""
    l4_checksum: int | None
    """None in a tunnel's outer headers, where there is none."""


def layouts(headers: Headers) -> tuple[Layout, ...]:
    """The offsets of the headers: one layout, or with a tunnel two, the inner headers last."""
    found = [_layout(headers, 0)]
    if headers.tunnel:
        found.append(_layout(headers.tunnel.inner, found[0].end))
    return tuple(found)


def _layout(headers: Headers, start: int) -> Layout:
    ip = start + _ETHERNET + _TAG * len(headers.vlans)
    is_ipv4 = isinstance(ip_address(headers.src_ip), IPv4Address)
    l4 = ip + (_IPV4 if is_ipv4 else _IPV6)
    end = l4 + (_UDP if headers.protocol == "udp" else _TCP)
    return Layout(
        vlans=tuple(start + _ETHERNET + _TAG * tag for tag in range(len(headers.vlans))),
        ip=ip,
        l4=l4,
        end=end + (_TUNNEL if headers.tunnel else 0),
        ip_checksum=ip + 10 if is_ipv4 else None,
        l4_checksum=None if headers.tunnel else l4 + (6 if headers.protocol == "udp" else 16),
    )


def min_size(headers: Headers) -> int:
    """The smallest frame (bytes with FCS) that has room for the headers and the signature."""
    return max(MIN_SIZE, layouts(headers)[-1].end + SIGNATURE + FCS)


def build_frame(headers: Headers, size: int) -> bytes:
    """A frame of ``size`` bytes with FCS, but without FCS: ``size - 4`` bytes, all zero behind the headers.

    The headers must be valid (:func:`header_findings`). Raises :class:`BadInput` when ``size`` is too small for them.
    """
    if size < min_size(headers):
        raise BadInput(too_small(headers, size))
    room = size - FCS - layouts(headers)[-1].end
    return bytes(_packet(headers, room))


def too_small(headers: Headers, size: int, where: str = "frame size") -> Finding:
    """The finding for a size that is too small for the headers."""
    return error(
        "the frame is too small for its headers and the generator's signature",
        where=where,
        found=f"{size} bytes",
        expected=f"at least {min_size(headers)} bytes: {layouts(headers)[-1].end} of headers, {SIGNATURE} of signature, "
        f"{FCS} of FCS",
    )


def _packet(headers: Headers, payload: int) -> Packet:
    """The headers and ``payload`` zero bytes, with lengths and checksums by scapy."""
    load_scapy()
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

    packet = Ether(src=headers.src_mac, dst=headers.dst_mac)
    for depth, vlan in enumerate(headers.vlans, start=1):
        packet /= (Dot1Q if depth == len(headers.vlans) else Dot1AD)(vlan=vlan)
    if isinstance(ip_address(headers.src_ip), IPv4Address):
        packet /= IP(src=headers.src_ip, dst=headers.dst_ip, id=0, flags="DF")
    else:
        packet /= IPv6(src=headers.src_ip, dst=headers.dst_ip)
    if headers.tunnel:
        outer = UDP(sport=headers.src_port, dport=headers.dst_port, chksum=0)
        return packet / outer / _tunnel(headers.tunnel) / _packet(headers.tunnel.inner, payload)
    if headers.protocol == "udp":
        return packet / UDP(sport=headers.src_port, dport=headers.dst_port) / bytes(payload)
    return packet / TCP(sport=headers.src_port, dport=headers.dst_port, flags="A") / bytes(payload)


def _tunnel(tunnel: Tunnel) -> Packet:
    from scapy.contrib.geneve import GENEVE
    from scapy.layers.vxlan import VXLAN

    if tunnel.kind == "vxlan":
        return VXLAN(vni=tunnel.vni, flags="Instance")
    return GENEVE(vni=tunnel.vni, proto=0x6558)


def header_findings(headers: Headers, where: str = "headers") -> Iterator[Finding]:
    """All errors in the headers, the tunnel and its inner frame."""
    yield from _mac_findings(headers, where)
    yield from _ip_findings(headers, where)
    if len(headers.vlans) > 2:
        yield error("too many VLAN tags", where=f"{where}.vlans", found=str(len(headers.vlans)), expected="0 to 2")
    for vlan in headers.vlans:
        yield from _range(f"{where}.vlans", vlan, 1, 4094)
    for name in ("src_port", "dst_port"):
        yield from _range(f"{where}.{name}", getattr(headers, name), 1, 65535)
    if headers.protocol not in ("udp", "tcp"):
        yield _bad(f"{where}.protocol", headers.protocol, "udp or tcp")
    if headers.tunnel:
        yield from _tunnel_findings(headers, headers.tunnel, where)


def _tunnel_findings(headers: Headers, tunnel: Tunnel, where: str) -> Iterator[Finding]:
    if headers.protocol == "tcp":
        yield _bad(f"{where}.protocol", headers.protocol, "udp: tunnels run over UDP")
    if tunnel.kind not in ("vxlan", "geneve"):
        yield _bad(f"{where}.tunnel.kind", tunnel.kind, "vxlan or geneve")
    yield from _range(f"{where}.tunnel.vni", tunnel.vni, 0, 2**24 - 1)
    if tunnel.inner.tunnel:
        yield _bad(f"{where}.tunnel.inner.tunnel", tunnel.inner.tunnel.kind, "no tunnel within a tunnel")
    else:
        yield from header_findings(tunnel.inner, f"{where}.tunnel.inner")


def _mac_findings(headers: Headers, where: str) -> Iterator[Finding]:
    for name, mac in (("src_mac", headers.src_mac), ("dst_mac", headers.dst_mac)):
        if not _MAC.fullmatch(mac):
            yield _bad(f"{where}.{name}", mac, "six bytes like 02:00:00:00:00:01")
        elif name == "src_mac" and int(mac[:2], 16) & 1:
            yield _bad(f"{where}.{name}", mac, "a unicast address: the first byte is even")


def _ip_findings(headers: Headers, where: str) -> Iterator[Finding]:
    versions = set()
    for name, text in (("src_ip", headers.src_ip), ("dst_ip", headers.dst_ip)):
        address = parse_ip(text)
        if address is None:
            yield _bad(f"{where}.{name}", text, "an IPv4 or IPv6 address like 198.18.0.1 or 2001:2::1")
            continue
        versions.add(address.version)
        if name == "src_ip" and address.is_multicast:
            yield _bad(f"{where}.{name}", text, "a unicast address")
    if len(versions) > 1:
        yield _bad(where, f"{headers.src_ip} to {headers.dst_ip}", "two addresses of the same IP version")


def parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    """The address, without a zone; None when the text is no address."""
    try:
        return ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def _range(where: str, value: int, minimum: int, maximum: int) -> Iterator[Finding]:
    if not minimum <= value <= maximum:
        yield _bad(where, str(value), f"{minimum} to {maximum}")


def _bad(where: str, found: str, expected: str) -> Finding:
    return error("the value is not valid in a frame", where=where, found=found[:60] or "nothing", expected=expected)
