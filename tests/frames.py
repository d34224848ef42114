"""Frames as scapy reads them, headers of every kind, and the generator's own work imitated.

It writes fields and the signature and updates checksums by differences. Whatever it would send must be a right frame.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from hypothesis import strategies as st

from ouchi.measure.generator.flows import Field
from ouchi.measure.generator.frames import GENEVE_PORT, SIGNATURE, VXLAN_PORT, Headers, Tunnel
from ouchi.measure.generator.scapy_loader import load_scapy
from ouchi.measure.generator.streams import Stream

load_scapy()
from scapy.layers.inet import IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.packet import Packet  # noqa: E402

PLAIN = Headers(
    src_mac="02:00:00:00:00:01",
    dst_mac="02:00:00:00:00:02",
    src_ip="198.18.0.1",
    dst_ip="198.19.0.1",
    src_port=1024,
    dst_port=5001,
)
PLAIN6 = replace(PLAIN, src_ip="2001:2::1", dst_ip="2001:2:0:1::1")
MACS = st.binary(min_size=6, max_size=6).map(lambda raw: bytes([raw[0] & 0xFE]) + raw[1:]).map(lambda raw: raw.hex(":"))
IPV4 = st.integers(1 << 24, (224 << 24) - 1).map(lambda number: str(ip_address(number)))
IPV6 = st.integers(1, (0xFF << 120) - 1).map(lambda number: str(ip_address(number.to_bytes(16, "big"))))
PORTS = st.integers(1, 65535).filter(lambda port: port not in (VXLAN_PORT, GENEVE_PORT))


@st.composite
def plain_headers(draw: st.DrawFn) -> Headers:
    addresses = draw(st.sampled_from([IPV4, IPV6]))
    return Headers(
        src_mac=draw(MACS),
        dst_mac=draw(MACS),
        vlans=tuple(draw(st.lists(st.integers(1, 4094), max_size=2))),
        src_ip=draw(addresses),
        dst_ip=draw(addresses),
        protocol=draw(st.sampled_from(["udp", "tcp"])),
        src_port=draw(PORTS),
        dst_port=draw(PORTS),
    )


@st.composite
def any_headers(draw: st.DrawFn) -> Headers:
    headers = draw(plain_headers())
    kind = draw(st.sampled_from([None, "vxlan", "geneve"]))
    if kind is None:
        return headers
    tunnel = Tunnel(kind, draw(st.integers(0, 2**24 - 1)), draw(plain_headers()))
    return replace(headers, protocol="udp", dst_port=VXLAN_PORT if kind == "vxlan" else GENEVE_PORT, tunnel=tunnel)


def layers(packet: Packet) -> Iterator[Packet]:
    while packet:
        yield packet
        packet = packet.payload


def same(left: int, right: int) -> bool:
    """Whether two ones' complement numbers are the same: all ones is zero too."""
    return left % 0xFFFF == right % 0xFFFF


def check(frame: bytes) -> Packet:
    """Read a frame with scapy and have it make every checksum again; the frame as scapy understands it."""
    packet = Ether(frame)
    fresh = packet.copy()
    for layer in layers(fresh):
        if isinstance(layer, (IP, UDP, TCP)) and not (isinstance(layer, UDP) and layer.chksum == 0):
            layer.chksum = None
    rebuilt = Ether(bytes(fresh))
    assert len(bytes(rebuilt)) == len(frame)
    for read, made in zip(layers(packet), layers(rebuilt), strict=True):
        assert type(read) is type(made)
        if isinstance(read, (IP, UDP, TCP)):
            assert same(read.chksum, made.chksum), f"{read.name} {read.chksum:#06x}, scapy {made.chksum:#06x}"
    return packet


def values_of(field: Field, dice: random.Random) -> Iterator[int]:
    number = 0
    while True:
        step = number // field.every % field.count
        match field.kind:
            case "increment":
                yield field.first + field.step * step
            case "list":
                yield field.values[step]
            case "random":
                yield field.first + field.step * dice.randrange(field.count)
        number += 1


def add(checksum: int, old: int, new: int) -> int:
    """RFC 1624, equation 3, over numbers of any length; zero is written as all ones, for UDP's sake."""
    return (0xFFFF - ((0xFFFF - checksum) + (0xFFFF * (1 << 64) - old) + new) % 0xFFFF) or 0xFFFF


def signature(stream: int, sequence: int, time: int) -> bytes:
    mark, rest = struct.pack(">H", 0xC100 | stream), struct.pack(">II", sequence & 0xFFFFFFFF, time)
    words = struct.unpack(">5H", mark + rest)
    return mark + struct.pack(">H", 0xFFFF - sum(words) % 0xFFFF) + rest


def sent(stream: Stream, seed: int = 1) -> Iterator[bytes]:
    """What the generator sends of a stream, for ever."""
    dice = random.Random(seed)
    fields = [(field, values_of(field, dice)) for field in stream.fields]
    sequence = dice.getrandbits(33)
    while True:
        for index in stream.order:
            frame = bytearray(stream.frames[index])
            for field, values in fields:
                span = slice(field.offset, field.offset + field.width)
                old, new = bytes(frame[span]), next(values).to_bytes(field.width, "big")
                frame[span] = new
                for at in field.checksums:
                    checksum = int.from_bytes(frame[at : at + 2], "big")
                    changed = add(checksum, int.from_bytes(old, "big"), int.from_bytes(new, "big"))
                    frame[at : at + 2] = changed.to_bytes(2, "big")
            assert frame[-SIGNATURE:] == bytes(SIGNATURE)
            frame[-SIGNATURE:] = signature(7, sequence, dice.getrandbits(32))
            sequence += 1
            yield bytes(frame)


def flow_of(packet: Packet) -> tuple[Any, ...]:
    """What makes a frame part of its flow: tags, addresses and ports of all layers."""
    names = {Dot1Q: ("vlan",), Dot1AD: ("vlan",), IP: ("src", "dst"), IPv6: ("src", "dst"), UDP: ("sport", "dport")}
    names[TCP] = names[UDP]
    return tuple(layer.getfieldval(name) for layer in layers(packet) for name in names.get(type(layer), ()))
