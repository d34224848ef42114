"""Replays: captures that scapy wrote are read back, and what is sent of them has room and right checksums."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.core.errors import BadInput, Severity
from ouchi.measure.generator import pcap
from ouchi.measure.generator.frames import SIGNATURE
from ouchi.measure.generator.pcap import frames_of
from ouchi.measure.generator.replay import dissect, prepare, replay_stream
from ouchi.measure.generator.scapy_loader import load_scapy

load_scapy()
from scapy.contrib.geneve import GENEVE, GeneveOptions  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop  # noqa: E402
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402
from scapy.packet import Packet, Raw  # noqa: E402
from scapy.utils import wrpcap, wrpcapng  # noqa: E402

ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = ETHER / IP(src="10.0.0.1", dst="10.0.0.2")
V6 = ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2")
TEXT = Raw(bytes(range(1, 101)))
MARK = bytes.fromhex("c507ffff0000000000003af8")  # a signature: its words add up to zero
assert sum(struct.unpack(">6H", MARK)) % 0xFFFF == 0


def layers(packet: Packet) -> list[Packet]:
    found = []
    while packet:
        found.append(packet)
        packet = packet.payload
    return found


def check(frame: bytes) -> Packet:
    """With the signature at its end every checksum of the frame is what scapy makes of it."""
    packet = Ether(frame[:-SIGNATURE] + MARK)
    fresh = packet.copy()
    for layer in layers(fresh):
        if isinstance(layer, (IP, UDP, TCP)) and not (isinstance(layer, UDP) and layer.chksum == 0):
            layer.chksum = None
    for read, made in zip(layers(packet), layers(Ether(bytes(fresh))), strict=True):
        if isinstance(read, (IP, UDP, TCP)):
            assert read.chksum % 0xFFFF == made.chksum % 0xFFFF, f"{read.name} {read.chksum:#06x}, {made.chksum:#06x}"
    return packet


OPTION = [GeneveOptions(classid=0x0102, type=3, length=1, data=b"abcd")]
DATAGRAMS = {
    "udp": V4 / UDP(sport=1, dport=2) / TEXT,
    "udp, odd": V4 / UDP(sport=1, dport=2) / Raw(bytes(range(1, 100))),
    "udp without checksum": V4 / UDP(sport=1, dport=2, chksum=0) / TEXT,
    "tcp with options": V4 / TCP(sport=1, dport=2, options=[("MSS", 1400), ("NOP", None)]) / TEXT,
    "ipv4 with options": ETHER / IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x94\x04\x00\x00") / UDP(sport=1) / TEXT,
    "tagged twice": ETHER / Dot1AD(vlan=2) / Dot1Q(vlan=3) / IP(dst="10.0.0.2", src="10.0.0.1") / UDP(sport=1) / TEXT,
    "udp over ipv6": V6 / UDP(sport=1, dport=2) / TEXT,
    "tcp behind extensions": V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(sport=1, dport=2) / TEXT,
    "vxlan": V4 / UDP(sport=1, dport=4789, chksum=0) / VXLAN(vni=5) / V6 / UDP(sport=1, dport=2) / TEXT,
    "vxlan with an outer checksum": V4 / UDP(sport=1, dport=4789) / VXLAN(vni=5) / V4 / TCP(sport=1, dport=2) / TEXT,
    "geneve with options": V4 / UDP(sport=1, dport=6081) / GENEVE(proto=0x6558, options=OPTION) / V4 / UDP() / TEXT,
    "geneve": V6 / UDP(sport=1, dport=6081) / GENEVE(vni=5, proto=0x6558) / V4 / UDP(sport=1, dport=2) / TEXT,
}


@pytest.mark.parametrize("packet", DATAGRAMS.values(), ids=DATAGRAMS)
@pytest.mark.parametrize("offloaded", [False, True])
def test_the_signature_lies_in_the_payload_and_the_checksums_are_right(packet: Packet, offloaded: bool) -> None:
    frame = bytes(packet)
    if offloaded:  # what a sender's capture shows: checksums that the NIC has yet to compute
        wrong = packet.copy()
        for layer in layers(wrong):
            if isinstance(layer, (UDP, TCP)) and getattr(layer, "chksum", None) != 0:
                layer.chksum = 0x1234
        frame = bytes(wrong)
    sent = prepare(frame)
    assert len(sent) == len(frame)
    read = check(sent)
    assert [type(layer) for layer in layers(read)] == [type(layer) for layer in layers(Ether(frame))]
    differing = [at for at in range(len(frame) - SIGNATURE) if sent[at] != bytes(packet)[at]]
    assert len(differing) <= 2 * len(dissect(frame)[1]), "more than checksums was changed"
    without = [layer.chksum == 0 for layer in layers(Ether(frame)) if isinstance(layer, UDP)]
    assert [layer.chksum == 0 for layer in layers(read) if isinstance(layer, UDP)] == without
    assert len(dissect(frame)[1]) == sum(isinstance(layer, (UDP, TCP)) for layer in layers(packet))


@pytest.mark.parametrize(
    ("packet", "length"),
    [
        (V4 / TCP(sport=1, dport=2), 66),  # 54 bytes: the signature would lie on the TCP header
        (V4 / TCP(sport=1, dport=2) / b"abcd", 70),  # in part under the checksum
        (V4 / TCP(sport=1, dport=2) / bytes(12), 66),
        (V4 / UDP(sport=1, dport=2) / b"abcd", 60),  # datagram to 46, signature from 48
        (V4 / UDP(sport=1, dport=2) / b"abcdefgh", 62),  # datagram to 50
        (V4 / UDP(sport=1, dport=2) / bytes(17), 71),  # 59 bytes, and at least 60 are sent
        (V4 / UDP(sport=1, dport=2) / bytes(18), 60),
        (V6 / TCP(sport=1, dport=2), 86),
    ],
)
def test_short_frames_grow_so_that_no_checksum_covers_half_a_signature(packet: Packet, length: int) -> None:
    sent = prepare(bytes(packet))
    assert len(sent) == length
    read = check(sent)
    assert (read.payload.payload.sport, read.payload.payload.dport) == (1, 2)


def test_a_frame_padded_by_its_sender_keeps_its_datagram() -> None:
    captured = bytes(V4 / TCP(sport=1, dport=2)).ljust(60, b"\0")
    sent = prepare(captured)
    assert len(sent) == 66
    assert sent[:54] == captured[:54]
    check(sent)


OTHERS = {
    "arp": (ETHER / ARP(), 60),
    "icmp": (V4 / ICMP() / TEXT, 142),
    "fragment": (ETHER / IP(flags="MF") / UDP() / TEXT, 142),
    "last fragment": (ETHER / IP(frag=100, proto=17) / TEXT, 134),
    "ipv6 fragment": (V6 / IPv6ExtHdrFragment(m=1) / UDP() / TEXT, 170),
    "wrong udp length": (V4 / UDP(len=20) / TEXT, 142),
    "segmentation offload": (ETHER / IP(len=0) / TCP() / TEXT, 154),
    "length beyond the frame": (ETHER / IP(len=1000) / UDP(len=980) / TEXT, 142),
    "802.3": (Ether(type=64) / TEXT, 114),
    "header only": (ETHER, 60),
}


@pytest.mark.parametrize(("packet", "length"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_whole_datagram_only_loses_its_last_bytes(packet: Packet, length: int) -> None:
    frame = bytes(packet)
    sent = prepare(frame)
    assert len(sent) == length
    kept = min(len(frame), length - SIGNATURE)
    assert sent[:kept] == frame[:kept]
    assert not any(sent[kept:])


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([bytes(packet) for packet in DATAGRAMS.values()]), st.integers(0, 200))
def test_no_frame_trips_it(noise: bytes, frame: bytes, at: int) -> None:
    for damaged in (noise, frame[:at], frame[:at] + noise, frame[:at] + noise + frame[at + len(noise) :]):
        sent = prepare(damaged)
        assert len(sent) >= max(60, len(damaged))
        assert sent[-SIGNATURE:] == bytes(SIGNATURE)
        assert prepare(sent)[-SIGNATURE:] == bytes(SIGNATURE)


def test_a_checksum_that_comes_to_zero() -> None:
    base = V4 / UDP(sport=1, dport=2) / bytes(20)
    port = 1 + Ether(bytes(base))[UDP].chksum  # the checksum is the complement of the sum: this makes it zero
    frame = bytes(V4 / UDP(sport=port, dport=2) / bytes(20))
    assert Ether(frame)[UDP].chksum == 0xFFFF  # zero would mean none
    assert prepare(frame) == frame
    port = 1 + Ether(bytes(V4 / TCP(sport=1, dport=2) / bytes(20)))[TCP].chksum
    frame = bytes(V4 / TCP(sport=port, dport=2) / bytes(20))
    assert Ether(frame)[TCP].chksum == 0
    assert prepare(frame) == frame


# Captures


@pytest.mark.parametrize("write", [wrpcap, wrpcapng])
def test_frames_and_their_order_come_from_a_capture(tmp_path: Path, write: Any) -> None:
    one, two, ack = DATAGRAMS["udp"], DATAGRAMS["tcp with options"], V4 / TCP(sport=1, dport=2)
    write(str(tmp_path / "c"), [one, two, one, ack, one])
    content = (tmp_path / "c").read_bytes()
    assert frames_of(content, "c") == tuple(bytes(packet) for packet in (one, two, one, ack, one))
    stream, notes = replay_stream("r", content, "c.pcap")
    assert stream.order == (0, 1, 0, 2, 0)
    assert [len(frame) for frame in stream.frames] == [142, 162, 66]
    assert stream.mean_size == (3 * 146 + 166 + 70) / 5
    assert stream.fields == ()
    assert [note.severity for note in notes] == [Severity.INFO, Severity.INFO]
    assert "signature" in notes[0].claim
    assert notes[1].found == "1 (number 4)"


def test_frames_that_cannot_be_repaired_are_reported() -> None:
    _, notes = replay_stream("r", classic([bytes(ETHER / ARP()), bytes(V4 / UDP() / TEXT)]), "c")
    assert [note.severity for note in notes] == [Severity.INFO, Severity.INFO, Severity.WARNING]
    assert notes[2].found == "1 (number 1)"


def classic(frames: list[bytes], order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1, cut: int = 0) -> bytes:
    head = struct.pack(f"{order}IHHIIII", magic, 2, 4, 0, 0, 65535, link)
    records = [
        struct.pack(f"{order}IIII", 1, 2, len(frame) - cut, len(frame)) + frame[: len(frame) - cut] for frame in frames
    ]
    return head + b"".join(records)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order: str = "<", link: int = 1, most: int = 0) -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, most), order)


def packet_block(frame: bytes, order: str = "<", number: int = 0) -> bytes:
    return block(6, struct.pack(f"{order}IIIII", number, 0, 0, len(frame), len(frame)) + frame, order)


FRAME = bytes(V4 / UDP(sport=1, dport=2) / TEXT)


@pytest.mark.parametrize(
    "content",
    [
        classic([FRAME, FRAME]),
        classic([FRAME, FRAME], ">"),
        classic([FRAME, FRAME], "<", 0xA1B23C4D),
        classic([FRAME, FRAME], ">", 0xA1B23C4D),
        section() + interface() + packet_block(FRAME) + block(5, b"statistics.") + packet_block(FRAME),
        section(">") + interface(">") + packet_block(FRAME, ">") + section() + interface() + packet_block(FRAME),
        section() + interface() + block(3, struct.pack("<I", len(FRAME)) + FRAME) + packet_block(FRAME),
        section()
        + interface()
        + packet_block(FRAME)
        + block(2, struct.pack("<HHIIII", 0, 0, 0, 0, len(FRAME), len(FRAME)) + FRAME),
    ],
)
def test_every_form_of_capture(content: bytes) -> None:
    assert frames_of(content, "c") == (FRAME, FRAME)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not a capture"),
        (b"GIF89a", "not a capture"),
        (b"\x1f\x8b\x08\x00" + bytes(60), "not a capture"),
        (classic([]), "is empty"),
        (classic([FRAME])[:10], "the capture is truncated"),
        (classic([FRAME])[:-1], "the capture is truncated"),
        (classic([FRAME])[:30], "the capture is truncated"),
        (classic([FRAME], cut=20), "not captured completely"),
        (classic([FRAME], link=113), "link type 113"),
        (classic([bytes(10)]), "shorter than an Ethernet header"),
        (classic([bytes(8997)]), "too large"),
        (section(), "is empty"),
        (section() + packet_block(FRAME), "interface 0"),
        (section() + interface() + section() + packet_block(FRAME), "interface 0"),
        (section() + interface(link=101) + packet_block(FRAME), "link type 101"),
        (section() + interface() + packet_block(FRAME)[:-2], "the capture is truncated"),
        (section() + interface() + packet_block(FRAME)[:-4] + bytes(4), "trailer 0"),
        (section() + interface() + struct.pack("<II", 6, 8), "a block of 8 bytes"),
        (section() + interface() + struct.pack("<II", 6, 0xFFFFFFFF), "a block of 4294967295"),
        (section() + block(1, b""), "a block of 0"),
        (section() + interface() + block(6, struct.pack("<IIIII", 0, 0, 0, 500, 500) + FRAME), "a frame of 500"),
        (
            section() + interface(most=20) + block(3, struct.pack("<I", len(FRAME)) + FRAME[:20]),
            "not captured completely",
        ),
    ],
)
def test_bad_captures(content: bytes, text: str) -> None:
    with pytest.raises(BadInput, match=text) as caught:
        replay_stream("r", content, "c.pcap")
    for finding in caught.value.findings:
        assert finding.where.startswith("c.pcap")
        assert finding.expected


def test_captures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcap, "MAX_FRAMES", 3)
    assert len(frames_of(classic([FRAME] * 3), "c")) == 3
    with pytest.raises(BadInput, match="too many frames"):
        frames_of(classic([FRAME] * 4), "c")
    with pytest.raises(BadInput, match="32 MiB"):
        frames_of(classic([FRAME]).ljust((32 << 20) + 1, b"\0"), "c")


@given(st.binary(max_size=60), st.integers(0, 400))
def test_damage_to_a_capture_is_bad_input(noise: bytes, at: int) -> None:
    good = [classic([FRAME, FRAME]), section() + interface() + packet_block(FRAME) + packet_block(FRAME)]
    for content in good:
        for damaged in (content[:at] + noise + content[at + len(noise) :], content[:at], noise):
            with suppress(BadInput):
                assert frames_of(damaged, "c")
