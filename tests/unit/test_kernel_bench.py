"""The kernel's bridge: what its devices counted, and the ports that the generator opens on them."""

from __future__ import annotations

import json

import pytest

from ouchi.core.instance import Instance
from ouchi.measure.paths import kernel_bridge
from ouchi.measure.paths.datapath import subtract
from ouchi.measure.paths.kernel_bridge import af_packet, inner, outer, parse_links


def link(name: str, received: int, sent: int, dropped: int = 0) -> dict[str, object]:
    """A device as iproute2 6.1 tells of it, shortened."""
    return {
        "ifindex": 2,
        "ifname": name,
        "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
        "mtu": 1500,
        "qdisc": "noqueue",
        "stats64": {
            "rx": {"bytes": received * 60, "packets": received, "errors": 0, "dropped": 0, "multicast": 0},
            "tx": {"bytes": sent * 60, "packets": sent, "errors": 0, "dropped": dropped, "collisions": 0},
        },
    }


def test_only_our_devices_are_counted() -> None:
    text = json.dumps([link("lo", 9, 9), {}, link("ouchi-left", 5, 7, 2)])
    assert parse_links(text) == {
        "ouchi-left": {
            "rx_packets": 5,
            "rx_bytes": 300,
            "rx_drops": 0,
            "tx_packets": 7,
            "tx_bytes": 420,
            "tx_drops": 2,
        }
    }
    assert parse_links("[]") == {}


def test_what_was_counted_between_two_readings() -> None:
    before = parse_links(json.dumps([link("ouchi-left", 5, 7)]))
    after = parse_links(json.dumps([link("ouchi-left", 6, 17, 1), link("ouchi-right", 3, 0)]))
    spent = subtract(before, after)
    assert spent["ouchi-left"] == {
        "rx_packets": 1,
        "rx_bytes": 60,
        "rx_drops": 0,
        "tx_packets": 10,
        "tx_bytes": 600,
        "tx_drops": 1,
    }
    assert spent["ouchi-right"]["rx_packets"] == 3


@pytest.mark.parametrize("mtu", [68, 1500, 1964, 1965, 9000, 9702])
def test_a_slot_holds_the_largest_frame_and_blocks_hold_whole_slots(mtu: int) -> None:
    words = dict(word.split("=") for word in af_packet(1, "ouchi-krn-left", mtu=mtu).split(",")[1:])
    slot, block, count = (int(words[name]) for name in ("framesz", "blocksz", "framecnt"))
    assert slot >= mtu + 18 + 66
    assert block % slot == 0
    assert block % 4096 == 0
    assert count * slot % block == 0
    assert words["iface"] == "ouchi-krn-left"


@pytest.mark.parametrize("mtu", [68, 1500, 1964, 9000])
def test_a_slot_fits_into_the_packet_buffers_of_the_generator(mtu: int) -> None:
    words = dict(word.split("=") for word in af_packet(0, "ouchi-krn-left", mtu=mtu).split(",")[1:])
    buffer = 2048 if mtu + 26 <= 2048 else 9728  # as in port.c: SMALLEST_ROOM, MAX_FRAME
    assert int(words["framesz"]) - 32 <= buffer


def test_a_port_of_the_usual_mtu() -> None:
    expected = "net_af_packet0,iface=ouchi-krn-left,blocksz=65536,framesz=2048,framecnt=256,qdisc_bypass=1"
    assert af_packet(0, "ouchi-krn-left") == expected


def test_names_are_ours_and_short_enough() -> None:
    for name in (kernel_bridge.BRIDGE, *map(outer, kernel_bridge.ENDS), *map(inner, kernel_bridge.ENDS)):
        assert name.startswith("ouchi-")
        assert len(name) <= 15
    assert kernel_bridge.namespace(Instance()) == "ouchi.bridge"
    assert kernel_bridge.namespace(Instance(), "left") != "ouchi-left"  # an endpoint's on a network "left"
