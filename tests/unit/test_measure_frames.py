"""Frames and flows: scapy reads back what was built, and recomputes every checksum by itself.

The generator is simulated here from what a stream says: it writes fields and the signature and updates checksums by
differences. Whatever it would send must be a right frame too.
"""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ouchi.errors import BadInput
from ouchi.measure.flows import BY_PORT_THEN_ADDRESS, Field, Vary, fields_for
from ouchi.measure.frames import GENEVE_PORT, SIGNATURE, VXLAN_PORT, Headers, Tunnel, build_frame, layouts, least_size
from ouchi.measure.scapy_quietly import load_scapy
from ouchi.measure.streams import Stream, make_stream

load_scapy()
from scapy.contrib.geneve import GENEVE  # noqa: E402
from scapy.layers.inet import IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402
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
    mark, rest = struct.pack(">H", 0xC500 | stream), struct.pack(">II", sequence & 0xFFFFFFFF, time)
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
                place = slice(field.offset, field.offset + field.width)
                old, new = bytes(frame[place]), next(values).to_bytes(field.width, "big")
                frame[place] = new
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


# Frames


@settings(max_examples=40, deadline=None)
@given(any_headers(), st.data())
def test_scapy_reads_what_was_built(headers: Headers, data: st.DataObject) -> None:
    size = data.draw(st.integers(least_size(headers), 9000))
    frame = build_frame(headers, size)
    assert len(frame) == size - 4
    assert frame[-SIGNATURE:] == bytes(SIGNATURE)
    packet = check(frame)
    _is(packet, headers)


def _is(packet: Packet, headers: Headers) -> None:
    assert (packet.src, packet.dst) == (headers.src_mac, headers.dst_mac)
    tags = [layer for layer in layers(packet) if isinstance(layer, (Dot1Q, Dot1AD))][: len(headers.vlans)]
    assert tuple(tag.vlan for tag in tags) == headers.vlans
    assert [type(tag) for tag in tags] == [Dot1AD, Dot1Q][2 - len(tags) :]
    ip = packet.getlayer(IP if ip_address(headers.src_ip).version == 4 else IPv6)
    assert (ip_address(ip.src), ip_address(ip.dst)) == (ip_address(headers.src_ip), ip_address(headers.dst_ip))
    l4 = ip.payload
    assert isinstance(l4, UDP if headers.protocol == "udp" else TCP)
    assert (l4.sport, l4.dport) == (headers.src_port, headers.dst_port)
    assert not isinstance(l4, UDP) or headers.tunnel or l4.chksum
    if headers.tunnel:
        tunnel = l4.payload
        assert isinstance(tunnel, VXLAN if headers.tunnel.kind == "vxlan" else GENEVE)
        assert l4.chksum == 0
        assert tunnel.vni == headers.tunnel.vni
        assert tunnel.fields.get("flags", 0x08) == 0x08
        assert tunnel.fields.get("proto", 0x6558) == 0x6558
        _is(tunnel.payload, headers.tunnel.inner)


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        (PLAIN, 64),
        (replace(PLAIN, vlans=(5, 7)), 66),
        (replace(PLAIN, protocol="tcp"), 70),
        (PLAIN6, 78),
        (replace(PLAIN6, protocol="tcp", vlans=(1,)), 94),
        (replace(PLAIN, dst_port=VXLAN_PORT, tunnel=Tunnel("vxlan", 1, PLAIN)), 108),
        (replace(PLAIN, dst_port=GENEVE_PORT, tunnel=Tunnel("geneve", 1, PLAIN6)), 128),
    ],
)
def test_the_least_size_works_and_one_byte_less_is_refused(headers: Headers, least: int) -> None:
    stream = make_stream("s", headers, size=least)
    check(next(sent(stream)))
    if least > 64:
        with pytest.raises(BadInput, match=rf"too small(.|\n)*{least - 1} bytes(.|\n)*at least {least} bytes"):
            make_stream("s", headers, size=least - 1)


def test_layouts_are_where_scapy_puts_the_headers() -> None:
    inner_headers = replace(PLAIN, protocol="tcp", vlans=(4, 5))
    headers = replace(PLAIN6, vlans=(3,), dst_port=VXLAN_PORT, tunnel=Tunnel("vxlan", 1, inner_headers))
    frame = build_frame(headers, 200)
    outer, inner = layouts(headers)
    assert Dot1Q(frame[outer.vlans[0] :]).vlan == 3
    assert IPv6(frame[outer.ip :]).src == "2001:2::1"
    assert UDP(frame[outer.l4 :]).dport == VXLAN_PORT
    assert (outer.ip_checksum, outer.l4_checksum) == (None, None)
    assert [Dot1Q(frame[at:]).vlan for at in inner.vlans] == [4, 5]
    assert IP(frame[inner.ip :]).dst == "198.19.0.1"
    assert TCP(frame[inner.l4 :]).dport == 5001
    assert inner.ip_checksum
    assert inner.l4_checksum
    assert frame[inner.ip_checksum :][:2] == IP(frame[inner.ip :]).chksum.to_bytes(2, "big")
    assert frame[inner.l4_checksum :][:2] == TCP(frame[inner.l4 :]).chksum.to_bytes(2, "big")
    assert frame[inner.end :] == bytes(200 - 4 - inner.end)
    for udp in (PLAIN, PLAIN6):
        (layout,) = layouts(udp)
        assert layout.l4_checksum
        frame = build_frame(udp, 100)
        assert frame[layout.l4_checksum :][:2] == UDP(frame[layout.l4 :]).chksum.to_bytes(2, "big")


# Flows


NAMES = ("src_port", "dst_port", "src_ip", "dst_ip", "vlan", "outer_vlan")


@settings(max_examples=40, deadline=None)
@given(any_headers(), st.data())
def test_whatever_varies_the_checksums_stay_right(headers: Headers, data: st.DataObject) -> None:
    names = [name for name in NAMES if "vlan" not in name or len(headers.vlans) > name.startswith("outer")]
    if headers.tunnel:
        tags = len(headers.tunnel.inner.vlans)
        names += [f"inner_{name}" for name in NAMES if "vlan" not in name or tags > name.startswith("outer")]
        names.remove("dst_port")  # the tunnel's; on another one scapy would not look inside
        names = [name for name in names if name not in ("inner_dst_port", "inner_src_port")]
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=4))
    steps = st.integers(1, 300)
    vary = [Vary(name, data.draw(st.sampled_from(["increment", "random"])), data.draw(steps)) for name in chosen]
    least = least_size(headers)
    try:
        stream = make_stream("s", headers, size=data.draw(st.integers(least, least + 9)), flows=4, vary=vary)
    except BadInput:
        reject()  # too few values: a port near 65535, a large step
    for frame in islice(sent(stream, data.draw(st.integers(0, 99))), 8):
        check(frame)


@pytest.mark.parametrize(
    ("headers", "flow"),
    [
        (replace(PLAIN, vlans=(7, 8)), [7, 8, "198.18.0.1", "198.19.0.1", 1024, 5001]),
        (replace(PLAIN6, vlans=(7, 8), protocol="tcp"), [7, 8, "2001:2::1", "2001:2:0:1::1", 1024, 5001]),
    ],
)
@pytest.mark.parametrize("inner", [False, True])
def test_each_field_is_where_its_name_says(headers: Headers, flow: list[Any], inner: bool) -> None:
    outer = ["198.18.0.1", "198.19.0.1", 1024, GENEVE_PORT] if inner else []
    if inner:
        headers = replace(PLAIN, dst_port=GENEVE_PORT, tunnel=Tunnel("geneve", 1, headers))
    for at, name in enumerate(("outer_vlan", "vlan", "src_ip", "dst_ip", "src_port", "dst_port")):
        vary = (Vary("inner_" * inner + name, step=3),)
        first, second = (
            flow_of(check(frame)) for frame in islice(sent(make_stream("s", headers, size=200, flows=2, vary=vary)), 2)
        )
        assert list(first) == outer + flow
        now = flow[at]
        changed = now + 3 if isinstance(now, int) else str(ip_address(now) + 3)
        assert list(second) == outer + flow[:at] + [changed] + flow[at + 1 :]


@pytest.mark.parametrize("flows", [1, 2, 7, 150])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_as_many_flows_as_asked_for(flows: int, protocol: Any) -> None:
    headers = replace(PLAIN, protocol=protocol, src_port=65500, vlans=(4090,))
    stream = make_stream("s", headers, size=128, flows=flows, vary=(Vary("src_port"), Vary("vlan"), Vary("src_ip")))
    twice = [flow_of(check(frame)) for frame in islice(sent(stream), 2 * flows)]
    assert len(set(twice)) == flows
    assert twice[:flows] == twice[flows:]


@pytest.mark.parametrize(
    ("flows", "counts"),
    [
        (1, []),
        (10, [(10, 1)]),
        (64512, [(64512, 1)]),
        (100_000, [(50_000, 1), (2, 50_000)]),
        (1_000_000, [(62_500, 1), (16, 62_500)]),
        (10_000_000, [(62_500, 1), (160, 62_500)]),
        (999_983, [(999_983, 1)]),  # a prime: the addresses alone
    ],
)
def test_ports_come_first_and_then_addresses(flows: int, counts: list[tuple[int, int]]) -> None:
    fields = fields_for(PLAIN, flows, BY_PORT_THEN_ADDRESS)
    assert [(field.count, field.every) for field in fields] == counts
    assert [field.offset for field in fields] == ([26] if flows == 999_983 else [34, 26][: len(counts)])


@settings(deadline=None)
@given(st.integers(1, 10_000_000))
def test_any_number_of_flows_is_made_exactly(flows: int) -> None:
    product = 1
    for field in fields_for(PLAIN6, flows, BY_PORT_THEN_ADDRESS):
        assert field.every == product
        product *= field.count
        assert field.first + field.step * (field.count - 1) < 1 << 8 * field.width
    assert product == flows


def test_random_fields_stay_within_their_values_and_come_to_all_of_them() -> None:
    vary = (Vary("src_port", "random", 2), Vary("dst_ip", "random"))
    headers = replace(PLAIN, src_port=65529)
    stream = make_stream("s", headers, flows=12, vary=vary)
    flows = {flow_of(check(frame)) for frame in islice(sent(stream), 150)}
    ports, addresses = (65529, 65531, 65533, 65535), ("198.19.0.1", "198.19.0.2", "198.19.0.3")
    assert flows == {("198.18.0.1", address, port, 5001) for port in ports for address in addresses}


def test_a_random_field_does_not_hold_up_the_grid_of_the_others() -> None:
    vary = (Vary("dst_ip", "random", 1 << 28), Vary("src_port"), Vary("src_ip"))  # 2, 64,512 and many values
    fields = fields_for(PLAIN, 2 * 64_512 * 3, vary)
    assert [(field.count, field.every) for field in fields] == [(2, 1), (64_512, 1), (3, 64_512)]


def test_lists_of_numbers_and_addresses() -> None:
    vary = (Vary("dst_port", "list", values=(53, 80, 443)), Vary("src_ip", "list", values=("10.0.0.9", "10.9.9.9")))
    stream = make_stream("s", PLAIN, flows=6, vary=vary)
    seen = [flow_of(check(frame)) for frame in islice(sent(stream), 6)]
    assert [(flow[0], flow[3]) for flow in seen] == [
        (ip, port) for ip in ("10.0.0.9", "10.9.9.9") for port in (53, 80, 443)
    ]


def test_lists_of_ipv6_addresses_change_their_last_bytes() -> None:
    stream = make_stream("s", PLAIN6, size=78, flows=2, vary=(Vary("dst_ip", "list", values=("2001:2:0:1::9", 0x10)),))
    assert [check(frame)[IPv6].dst for frame in islice(sent(stream), 2)] == ["2001:2:0:1::9", "2001:2:0:1::10"]


def test_an_outer_field_of_a_tunnel_leaves_the_inner_checksums_alone() -> None:
    headers = replace(PLAIN, dst_port=VXLAN_PORT, tunnel=Tunnel("vxlan", 9, PLAIN6))
    vary = (Vary("src_port"), Vary("src_ip"), Vary("inner_src_ip"), Vary("inner_dst_port"))
    fields = fields_for(replace(headers, src_port=65535), 64, (vary[1],))
    assert [field.checksums for field in fields] == [(24,)]
    assert [field.checksums for field in fields_for(headers, 2, (vary[0],))] == [()]
    assert [field.checksums for field in fields_for(headers, 2, (vary[2],))] == [(110,)]
    assert [field.checksums for field in fields_for(headers, 2, (vary[3],))] == [(110,)]


# Streams


def test_a_mix_sends_its_sizes_in_order() -> None:
    stream = make_stream("s", PLAIN, size="imix", flows=5)
    sizes = [len(frame) + 4 for frame in islice(sent(stream), 24)]
    assert sizes[:12] == sizes[12:] == [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64]
    assert stream.mean_size == sum(sizes) / 24
    assert len(stream.frames) == 3
    for frame in islice(sent(stream), 24):
        check(frame)


def test_a_stream_is_json() -> None:
    vary = (Vary("src_port"), Vary("dst_port", "list", values=(53, 80)))
    value = json.loads(json.dumps(make_stream("s", PLAIN, size=64, flows=64_512 * 2, vary=vary).to_json()))
    assert value["frames"][0] == make_stream("s", PLAIN).frames[0].hex()
    assert value["order"] == [0]
    assert value["fields"] == [
        {
            "offset": 34,
            "width": 2,
            "kind": "increment",
            "checksums": [40],
            "first": 1024,
            "step": 1,
            "count": 64_512,
            "every": 1,
        },
        {"offset": 36, "width": 2, "kind": "list", "checksums": [40], "values": [53, 80], "every": 64_512},
    ]


TUNNELLED = replace(PLAIN, dst_port=VXLAN_PORT, tunnel=Tunnel("vxlan", 1, PLAIN))


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        (replace(PLAIN, src_mac="02:00:00:00:00"), "src_mac"),
        (replace(PLAIN, src_mac="01:00:5e:00:00:01"), "src_mac"),
        (replace(PLAIN, dst_mac="router"), "dst_mac"),
        (replace(PLAIN, src_ip="198.18.0.256"), "src_ip"),
        (replace(PLAIN, src_ip="224.0.0.1"), "src_ip"),
        (replace(PLAIN, src_ip="198.18.0.1/24"), "src_ip"),
        (replace(PLAIN, dst_ip="fe80::1%eth0"), "dst_ip"),
        (replace(PLAIN, dst_ip="2001:2::1"), "headers"),
        (replace(PLAIN, src_port=0), "src_port"),
        (replace(PLAIN, dst_port=65536), "dst_port"),
        (replace(PLAIN, vlans=(0,)), "vlans"),
        (replace(PLAIN, vlans=(4095,)), "vlans"),
        (replace(PLAIN, vlans=(1, 2, 3)), "vlans"),
        (replace(PLAIN, protocol="sctp"), "protocol"),  # type: ignore[arg-type]
        (replace(TUNNELLED, protocol="tcp"), "protocol"),
        (replace(PLAIN, tunnel=Tunnel("vxlan", 1 << 24, PLAIN)), "vni"),
        (replace(PLAIN, tunnel=Tunnel("gre", 1, PLAIN)), "kind"),  # type: ignore[arg-type]
        (replace(PLAIN, tunnel=Tunnel("vxlan", 1, TUNNELLED)), "inner.tunnel"),
        (replace(PLAIN, tunnel=Tunnel("vxlan", 1, replace(PLAIN, src_port=-1))), "inner.src_port"),
    ],
)
def test_bad_headers(headers: Headers, where: str) -> None:
    with pytest.raises(BadInput) as caught:
        make_stream("s", headers, size=200)
    (finding,) = caught.value.findings
    assert finding.where.endswith(where)
    assert finding.found
    assert finding.expected


@pytest.mark.parametrize(
    ("flows", "vary", "says"),
    [
        (0, BY_PORT_THEN_ADDRESS, "so many flows"),
        (-1, BY_PORT_THEN_ADDRESS, "so many flows"),
        (10_000_001, BY_PORT_THEN_ADDRESS, "10,000,001"),
        (2, (), "such as 1"),
        (100_003, (Vary("src_port"), Vary("dst_port")), "such as 100,002"),
        (100_000, (Vary("src_port"),), "such as 64,512"),
        (4, (Vary("dst_port", "list", values=(1, 2, 3)),), "such as 3"),
        (2, (Vary("src_port"), Vary("src_port")), "vary twice"),
        (2, (Vary("vlan"),), "no such field"),
        (2, (Vary("inner_src_ip"),), "no such field"),
        (2, (Vary("ttl"),), "no such field"),
        (2, (Vary("src_port", "decrement"),), "cannot vary like this"),  # type: ignore[arg-type]
        (2, (Vary("src_port", step=0),), "this step"),
        (2, (Vary("src_port", step=-1),), "this step"),
        (2, (Vary("src_port", "list"),), "nothing in the list"),
        (2, (Vary("src_port", values=(5,)),), "belong to a list"),
        (2, (Vary("src_port", "list", values=(0, 5)),), "does not fit"),
        (2, (Vary("src_port", "list", values=("198.18.0.1",)),), "does not fit"),
        (2, (Vary("src_ip", "list", values=("2001::1",)),), "does not fit"),
        (2, (Vary("src_ip", "list", values=(1 << 32,)),), "does not fit"),
    ],
)
def test_bad_flows(flows: int, vary: tuple[Vary, ...], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        make_stream("s", PLAIN, flows=flows, vary=vary)
    assert len(caught.value.findings) == 1


def test_an_address_does_not_count_up_into_groups() -> None:
    with pytest.raises(BadInput, match="such as 2"):
        make_stream("s", replace(PLAIN, src_ip="223.255.255.254"), flows=3, vary=(Vary("src_ip"),))


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        make_stream("s", replace(PLAIN, src_mac="x", dst_ip="y", src_port=0), size="zebra")
    assert [finding.where.removeprefix("s.") for finding in caught.value.findings] == [
        "headers.src_mac",
        "headers.dst_ip",
        "headers.src_port",
        "size",
    ]
    with pytest.raises(BadInput) as caught:
        make_stream("s", PLAIN6, size="abg", flows=0, vary=(Vary("vlan"),))
    assert [finding.where for finding in caught.value.findings] == ["s.size", "s.flows", "s.vary"]


def test_scapy_comes_in_quietly_and_only_when_needed(tmp_path: Path) -> None:
    code = f"""
import socket, sys
def never(*_, **__):
    raise AssertionError("a socket")
socket.socket = never
from ouchi.measure.frames import Headers
from ouchi.measure.streams import make_stream
assert "scapy" not in sys.modules
make_stream("s", {PLAIN!r})
assert "scapy" in sys.modules
assert "scapy.all" not in sys.modules
"""
    environment = {"HOME": str(tmp_path), "PYTHONPATH": ":".join(path for path in sys.path if path)}
    argv = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
