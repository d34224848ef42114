"""Frames and streams: scapy reads back what was built, and recomputes every checksum by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_address
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.core.errors import BadInput
from ouchi.measure.generator.flows import PORTS_THEN_ADDRESSES, Vary
from ouchi.measure.generator.frames import (
    GENEVE_PORT,
    SIGNATURE,
    VXLAN_PORT,
    Headers,
    Tunnel,
    build_frame,
    layouts,
    min_size,
)
from ouchi.measure.generator.process import RoutedStream, _stream_json
from ouchi.measure.generator.scapy_loader import load_scapy
from ouchi.measure.generator.streams import make_stream
from tests.frames import (
    PLAIN,
    PLAIN6,
    any_headers,
    check,
    layers,
    sent,
)

load_scapy()
from scapy.contrib.geneve import GENEVE  # noqa: E402
from scapy.layers.inet import IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Dot1AD, Dot1Q  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402
from scapy.packet import Packet  # noqa: E402


@settings(max_examples=40, deadline=None)
@given(any_headers(), st.data())
def test_scapy_reads_what_was_built(headers: Headers, data: st.DataObject) -> None:
    size = data.draw(st.integers(min_size(headers), 9000))
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
    stream = make_stream("s", PLAIN, size=64, flows=64_512 * 2, vary=vary)
    value = json.loads(json.dumps(_stream_json(0, RoutedStream(stream, "a", "b"))))
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
    ("flows", "vary", "message"),
    [
        (0, PORTS_THEN_ADDRESSES, "number of flows is out of range"),
        (-1, PORTS_THEN_ADDRESSES, "number of flows is out of range"),
        (10_000_001, PORTS_THEN_ADDRESSES, "10,000,001"),
        (2, (), "such as 1"),
        (100_003, (Vary("src_port"), Vary("dst_port")), "such as 100,002"),
        (100_000, (Vary("src_port"),), "such as 64,512"),
        (4, (Vary("dst_port", "list", values=(1, 2, 3)),), "such as 3"),
        (2, (Vary("src_port"), Vary("src_port")), "varies twice"),
        (2, (Vary("vlan"),), "no such field"),
        (2, (Vary("inner_src_ip"),), "no such field"),
        (2, (Vary("ttl"),), "no such field"),
        (2, (Vary("src_port", "decrement"),), "unknown kind of variation"),  # type: ignore[arg-type]
        (2, (Vary("src_port", step=0),), "the step is out of range"),
        (2, (Vary("src_port", step=-1),), "the step is out of range"),
        (2, (Vary("src_port", "list"),), "the list has no values"),
        (2, (Vary("src_port", values=(5,)),), "only a list has values"),
        (2, (Vary("src_port", "list", values=(0, 5)),), "out of the field's range"),
        (2, (Vary("src_port", "list", values=("198.18.0.1",)),), "out of the field's range"),
        (2, (Vary("src_ip", "list", values=("2001::1",)),), "out of the field's range"),
        (2, (Vary("src_ip", "list", values=(1 << 32,)),), "out of the field's range"),
    ],
)
def test_bad_flows(flows: int, vary: tuple[Vary, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        make_stream("s", PLAIN, flows=flows, vary=vary)
    assert len(caught.value.findings) == 1


def test_an_address_does_not_count_up_into_groups() -> None:
    with pytest.raises(BadInput, match="such as 2"):
        make_stream("s", replace(PLAIN, src_ip="223.255.255.254"), flows=3, vary=(Vary("src_ip"),))


def test_everything_that_is_wrong_is_reported_at_once() -> None:
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
from ouchi.measure.generator.frames import Headers
from ouchi.measure.generator.process import RoutedStream, _stream_json
from ouchi.measure.generator.streams import make_stream
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
