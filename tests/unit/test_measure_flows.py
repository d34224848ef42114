"""Flows: as many as asked for, each field where its name says, and checksums right whatever varies."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from ouchi.core.errors import BadInput
from ouchi.measure.generator.flows import PORTS_THEN_ADDRESSES, Vary, fields_for
from ouchi.measure.generator.frames import GENEVE_PORT, VXLAN_PORT, Headers, Tunnel, min_size
from ouchi.measure.generator.scapy_loader import load_scapy
from ouchi.measure.generator.streams import make_stream
from tests.frames import (
    PLAIN,
    PLAIN6,
    any_headers,
    check,
    flow_of,
    sent,
)

load_scapy()
from scapy.layers.inet6 import IPv6  # noqa: E402

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
    least = min_size(headers)
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
def test_each_field_is_where_its_name_states(headers: Headers, flow: list[Any], inner: bool) -> None:
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
def test_as_many_flows_as_requested_for(flows: int, protocol: Any) -> None:
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
    fields = fields_for(PLAIN, flows, PORTS_THEN_ADDRESSES)
    assert [(field.count, field.every) for field in fields] == counts
    assert [field.offset for field in fields] == ([26] if flows == 999_983 else [34, 26][: len(counts)])


@settings(deadline=None)
@given(st.integers(1, 10_000_000))
def test_any_number_of_flows_is_made_exactly(flows: int) -> None:
    product = 1
    for field in fields_for(PLAIN6, flows, PORTS_THEN_ADDRESSES):
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
