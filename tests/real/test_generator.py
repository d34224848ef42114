"""The generator itself, built with sanitizers: what it sends, what it makes of what it receives, and what it refuses."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import generators
import pytest
from generators import HEADERS, MARKS, Start, trial
from hypothesis import given, settings
from hypothesis import strategies as st

from ouchi.core.errors import Failed
from ouchi.machine.local import LocalMachine
from ouchi.measure.generator.client import Client, RequestRejected
from ouchi.measure.generator.flows import Vary
from ouchi.measure.generator.frames import SIGNATURE, Headers
from ouchi.measure.generator.process import Generator, RoutedStream
from ouchi.measure.generator.scapy_loader import load_scapy
from ouchi.measure.generator.stream_file import read_stream_file
from ouchi.measure.generator.streams import Stream, make_stream
from ouchi.measure.paths.traffic import read_trial
from ouchi.measure.request import BenchRequest
from tests.frames import check

cable, pages, program, start = generators.cable, generators.pages, generators.program, generators.start  # fixtures
pytestmark = MARKS


def test_none_of_half_a_million_is_lost_or_seen_twice(start: Start) -> None:
    generator = start()
    generator.open("left", "net_ring0")
    flows = [RoutedStream(make_stream("round", HEADERS), "left", "left")]
    found = trial(generator, flows, 0, count=500_000)
    (one,) = found.streams
    assert (one.intended, one.sent, one.received, one.lost) == (500_000, 500_000, 500_000, 0)
    assert (one.duplicated, one.reordered, one.corrupt, found.foreign, one.gaps) == (0, 0, 0, 0, ())
    assert one.latency.total == 500_000
    assert (one.latency.percentile(0) or 0) > 0


@pytest.mark.parametrize("pps", [1000.0, 50_000.0])
def test_every_frame_whose_time_came_is_accounted_for(start: Start, pps: float) -> None:
    generator = start()
    generator.open("left", "net_ring0")
    flows = [
        RoutedStream(make_stream(name, HEADERS, size=size), "left", "left")
        for name, size in (("small", 64), ("large", 1518))
    ]
    generator.load(flows)
    result = generator.run([pps, pps / 10], seconds=1.0)
    for one, rate in zip(result["streams"], (pps, pps / 10), strict=True):
        sent = one["tx"]
        assert sent["intended"] == rate
        assert sent["accepted"] + sent["late"] + sent["tx_full"] == sent["intended"]
        assert one["rx"]["received"] == sent["accepted"]
    trial_seen = read_trial(result, flows, pps=pps * 1.1, seconds=1.0)
    assert trial_seen.lost == 0


def sent_frames(generator: Generator, file: Path, stream: Stream, count: int, *, port: str = "file") -> list[bytes]:
    """What a stream sends, as a capture holds it."""
    generator.open(port, f"net_pcap0,tx_pcap={file}")
    reported_flows = [RoutedStream(stream, port, port)]
    generator.load(reported_flows)
    result = generator.run([0.0], count=count)
    assert result["streams"][0]["tx"]["accepted"] == count
    generator.load([])
    generator._client.request("close", port=port)
    load_scapy()
    from scapy.utils import RawPcapReader

    with RawPcapReader(str(file)) as capture:
        return [data for data, _ in capture]


@pytest.mark.parametrize(
    ("size", "headers"),
    [
        ("64", HEADERS),
        ("imix", HEADERS),
        ("128", replace(HEADERS, vlans=(100, 200))),
        (
            "100",
            replace(HEADERS, src_ip="2001:db8::1", dst_ip="2001:db8::2"),
        ),
        ("90", replace(HEADERS, protocol="tcp")),
    ],
    ids=["64", "imix", "qinq", "ipv6", "tcp"],
)
def test_what_is_sent_is_right(start: Start, tmp_path: Path, size: str, headers: Headers) -> None:
    """Every checksum by scapy's reckoning, every flow, every signature."""
    load_scapy()
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.l2 import Ether

    count, flows = 240, 20
    vary = (Vary("src_port"), Vary("src_ip"))
    stream = make_stream("sent", headers, size=size, flows=flows, vary=vary)
    frames = sent_frames(start(), tmp_path / "sent.pcap", stream, count)
    assert [len(frame) for frame in frames] == [
        len(stream.frames[stream.order[i % len(stream.order)]]) for i in range(count)
    ]
    seen = set()
    for number, frame in enumerate(frames):
        packet = Ether(frame)
        above = packet[TCP] if packet.haslayer(TCP) else packet[UDP]
        seen.add((str(above.underlayer.src), above.sport))
        claimed = (packet[IP].chksum if packet.haslayer(IP) else 0, above.chksum)
        if packet.haslayer(IP):
            del packet[IP].chksum
        del above.chksum
        again = Ether(bytes(packet))
        above_again = again[TCP] if again.haslayer(TCP) else again[UDP]
        recomputed = (again[IP].chksum if again.haslayer(IP) else 0, above_again.chksum)
        assert claimed == recomputed, number
        mark, sequence = frame[-12:-10], frame[-8:-4]
        assert (mark[0] & 0xF0, mark[1], int.from_bytes(sequence)) == (0xC0, 0, number)
        words = sum(int.from_bytes(frame[at : at + 2]) for at in range(len(frame) - 12, len(frame), 2))
        assert words % 0xFFFF == 0
    assert len(seen) == flows


LAYERS = {
    "vlan": "Ether / Dot1Q / IP / UDP",
    "qinq": "Ether / Dot1AD / Dot1Q / IP / UDP",
    "ipv6": "Ether / IPv6 / UDP",
    "tcp": "Ether / IP / TCP",
    "vxlan": "Ether / IP / UDP / VXLAN / Ether / IP / TCP",
    "geneve": "Ether / IPv6 / UDP / GENEVE / Ether / Dot1Q / IP / UDP",
    "capture": "Ether / IP / UDP",
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_stream_file_over_a_ring(start: Start, tmp_path: Path, name: str) -> None:
    """Nothing is lost, and what is sent is what the file describes."""
    load_scapy()
    from scapy.layers.l2 import Ether

    spec = read_stream_file(LocalMachine(), str(generators.HOME / "examples" / "streams" / f"{name}.yaml"))
    request = BenchRequest(path_name="loop", sizes=(spec.size,), flows=spec.flows, template=spec.template)
    stream = request.stream(0, spec.size)
    generator = start()
    generator.open("ring", "net_ring0")
    found = trial(generator, [RoutedStream(stream, "ring", "ring")], 0, count=5000)
    assert (found.sent, found.received, found.lost, found.foreign) == (5000, 5000, 0, 0)
    frames = sent_frames(generator, tmp_path / "sent.pcap", stream, 100)
    for frame in frames:
        assert Ether(frame).summary().startswith(LAYERS[name])
        check(frame[:-SIGNATURE] + bytes(SIGNATURE))
    varied = {frame[:-SIGNATURE] for frame in frames}
    assert len(varied) >= min(spec.flows, 50 if name == "tcp" else 100)


def test_a_replay_of_more_than_a_line_holds(start: Start, tmp_path: Path) -> None:
    load_scapy()
    base = make_stream("base", HEADERS, size=1518)
    frames = tuple(base.frames[0][:60] + number.to_bytes(2) + base.frames[0][62:] for number in range(2000))
    stream = Stream("many", frames, tuple(range(2000)), (), 1518.0)
    sent = sent_frames(start(), tmp_path / "many.pcap", stream, 2000)
    assert [frame[:-12] for frame in sent] == [frame[:-12] for frame in frames]


def signed(frame: bytes, number: int, sequence: int) -> bytes:
    """A frame as the trial of a number would send it, made by the description of the signature alone."""
    rest = bytes((0xC0 | number & 15, 0)) + b"\0\0" + sequence.to_bytes(4) + b"\0\0\0\1"
    total = sum(int.from_bytes(rest[at : at + 2]) for at in range(0, 12, 2))
    complement = -total % 0xFFFF
    return frame[:-12] + rest[:2] + complement.to_bytes(2) + rest[4:]


def test_what_happened_on_the_way_is_reported(start: Start, cable: tuple[str, str]) -> None:
    """Frames dropped, doubled, swapped and damaged by us, while a trial runs whose frames go nowhere."""
    generator = start()
    generator.open("sink", "net_null0,no-rx=1")
    generator.open("back", f"net_af_packet0,iface={cable[0]}")
    stream = make_stream("sent", HEADERS)
    frames = [signed(stream.frames[0], 1, sequence) for sequence in range(1000)]
    noise = random.Random(7)
    arriving = frames[:100] + frames[150:400]  # 50 lost
    arriving += [frames[400], frames[400], frames[402], frames[401]]  # one twice, two swapped
    arriving += [frames[403][:-6] + bytes((frames[403][-6] ^ 1,)) + frames[403][-5:]]  # a bit of its signature
    arriving += [bytes(noise.randrange(256) for _ in range(60))]  # foreign
    arriving += frames[404:990]  # and the last ten are lost, which only the sender knows
    arriving.reverse()

    def bring(_progress: dict[str, Any]) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((cable[1], 0))
            for _ in range(min(200, len(arriving))):
                wire.send(arriving.pop())

    flows = [RoutedStream(stream, "sink", "back")]
    generator.load(flows)
    result = generator.run([5000.0], count=1000, drain=1.5, progress=bring)
    assert result["trial"] == 1
    found = read_trial(result, flows, pps=5000.0, seconds=0.2)
    (one,) = found.streams
    late = result["streams"][0]["tx"]["late"]  # of a sender that was held up
    assert one.sent + late == 1000
    assert (one.duplicated, one.reordered, one.corrupt, found.foreign) == (1, 1, 1, 1)
    assert one.lost == 50 + 1 + 10 - late
    assert [(gap.first, gap.packets) for gap in one.gaps] == [(100, 50), (403, 1)]


BAD = {
    "no-such-request": {"do": "explode"},
    "no request": {},
    "unknown member": {"do": "hello", "colour": "red"},
    "no name": {"do": "open", "port": "", "device": "net_null0"},
    "long name": {"do": "open", "port": "x" * 200, "device": "net_null0"},
    "no such device": {"do": "open", "port": "a", "device": "net_rubbish0"},
    "a PCI device that does not exist": {"do": "open", "port": "a", "device": "0000:ff:1f.7"},
    "too many queues": {"do": "open", "port": "a", "device": "net_null7", "rx_queues": 17},
    "no queue": {"do": "open", "port": "a", "device": "net_null7", "tx_queues": 0},
    "unknown port": {"do": "close", "port": "nowhere"},
    "nothing to send": {"do": "start", "seconds": 1.0},
    "no end": {"do": "start"},
    "negative time": {"do": "start", "seconds": -1},
    "no time": {"do": "start", "seconds": float("nan")},
    "no list": {"do": "streams", "streams": 7},
}  # fmt: skip
FRAME = make_stream("x", HEADERS).frames[0].hex()
STREAM = {"stream": 0, "from": "ok", "pps": 1.0, "frames": [FRAME]}
BAD_STREAMS = {
    "negative rate": {"pps": -1}, "a rate above all lines": {"pps": 1e12}, "no rate": {"pps": "fast"},
    "ten bytes": {"frames": ["00" * 10]}, "70,000 bytes": {"frames": ["00" * 70_000]}, "half a byte": {"frames": [FRAME + "0"]},
    "no digits": {"frames": ["zz" * 60]}, "unknown port": {"from": "nowhere"}, "burst": {"burst": 0},
    "stream": {"stream": 256}, "queue": {"queue": 1}, "worker": {"worker": 9},
    "a field at the signature": {"fields": [{"kind": "increment", "offset": 48, "width": 2, "first": 0, "count": 2}]},
    "a field of nothing": {"fields": [{"kind": "list", "offset": 20, "width": 2, "values": []}]},
    "a kind": {"fields": [{"kind": "guess", "offset": 20, "width": 2, "first": 0, "count": 2}]},
    "a checksum on it": {"fields": [{"kind": "increment", "offset": 24, "width": 2, "first": 0, "count": 2, "checksums": [24]}]},
    "an order": {"order": [1]},
}  # fmt: skip


def refused_stream(client: Client, stream: dict[str, Any]) -> str:
    """Why a stream is refused, at once or when it is to be sent; empty when it is taken."""
    try:
        client.request("streams", streams=[stream])
        client.request("start", seconds=0.1)
    except RequestRejected as reason:
        return str(reason)
    return ""


def test_bad_requests_are_refused_and_nothing_comes_of_them(start: Start) -> None:
    generator = start()
    generator.open("ok", "net_ring0")
    client = generator._client
    for name, members in BAD.items():
        with pytest.raises(RequestRejected) as refused:
            client.request(members.get("do", "?"), **{key: value for key, value in members.items() if key != "do"})
        assert str(refused.value), name
    for name, change in BAD_STREAMS.items():
        client.request("streams", streams=[])
        assert refused_stream(client, {**STREAM, **change}), name
    found = trial(generator, [RoutedStream(make_stream("fine", HEADERS), "ok", "ok")], 0, count=1000)
    assert found.lost == 0


def test_rubbish_lines_are_answered(start: Start) -> None:
    generator = start()
    generator._client.close()
    for line in (
        b"{",
        b"\xff\xfe\x00",
        b"[1]",
        b'"x"',
        b"nul",
        b'{"do":"hello","do":"hello"}',
        b"[" * 5000,
        b'{"do":' + b"9" * 400 + b"}",
    ):
        assert b'"error"' in _reported(generator.socket, line + b"\n")
    assert b"more than one MiB" in _reported(generator.socket, b"x" * ((1 << 20) + 5) + b"\n")
    assert _reported(generator.socket, b'{"do":"hello"') == b""  # half a line, and gone
    generator._client = hello_after_another(generator.socket)


def hello_after_another(path: str) -> Client:
    """A client that the generator answers, once it has seen that the one before is gone: it serves one at a time."""
    for _ in range(100):
        client = Client(path, lambda: "")
        try:
            assert client.request("hello")["protocol"] == 1
        except Failed:
            client.close()
            time.sleep(0.02)
        else:
            return client
    raise AssertionError("the client before is still being served")


def _reported(path: str, data: bytes) -> bytes:
    """What is answered to some bytes, after which the client hangs up."""
    for _ in range(100):
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):  # it hangs up on a second client
            client.settimeout(5)
            client.connect(path)
            client.sendall(data)
            if not data.endswith(b"\n"):
                return b""
            answer = client.recv(100_000)
            if b"another client" not in answer:
                return answer
        time.sleep(0.02)
    raise AssertionError("the client before is still being served")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["hello", "port", "close", "streams", "append", "rate", "stop", "results", "start"])
members = st.sampled_from(
    [
        "id",
        "port",
        "stream",
        "streams",
        "frames",
        "order",
        "fields",
        "pps",
        "seconds",
        "count",
        "ramp",
        "drain",
        "stall",
    ]
)


def test_any_json_is_answered(start: Start) -> None:
    generator = start()
    client = generator._client

    @settings(max_examples=300)
    @given(names, st.dictionaries(members, values, max_size=5))
    def ask(do: str, more: dict[str, Any]) -> None:
        client._send(json.dumps({**more, "do": do}).encode() + b"\n")
        message = client._message(time.monotonic() + 10, do)
        while "event" in message:
            message = client._message(time.monotonic() + 10, do)
        assert isinstance(message, dict)

    ask()
    client.request("stop")


def test_a_client_that_vanishes_stops_the_traffic(start: Start) -> None:
    generator = start()
    generator.open("left", "net_ring0")
    generator.load([RoutedStream(make_stream("round", HEADERS), "left", "left")])
    generator._client.request("rate", stream=0, pps=1000.0)
    generator._client.request("start", seconds=600.0)
    generator._client.close()
    for _ in range(100):
        time.sleep(0.05)
        try:
            generator._client = Client(generator.socket, lambda: "")
            result = generator._client.request("results")
            break
        except (RequestRejected, Failed):
            generator._client.close()
    assert result["interrupted"]
    before = result["streams"][0]["tx"]["accepted"]
    assert generator._client.request("results")["streams"][0]["tx"]["accepted"] == before


def test_one_client_at_a_time(start: Start) -> None:
    generator = start()
    with socket.socket(socket.AF_UNIX) as second:
        second.connect(generator.socket)
        assert b"another client" in second.recv(1000)
    assert generator._client.request("hello")["protocol"] == 1


def test_a_server_waits_for_its_client_only_so_long(start: Start, tmp_path: Path) -> None:
    generator = start()
    device = f"net_virtio_user0,path={tmp_path}/nobody.sock,server=1,queues=1"
    with pytest.raises(RequestRejected, match=r"no vhost-user client connected to .*nobody\.sock within 1 s"):
        generator.open("alone", device, timeout=1)
    generator.open("left", "net_ring0")


def test_a_socket_that_is_taken(start: Start, tmp_path: Path) -> None:
    generator = start()
    with pytest.raises(Failed, match="does not start"):
        Generator(LocalMachine(), "/bin/false", str(tmp_path), (0, 1))
    with pytest.raises(RequestRejected, match="DPDK cannot open"):
        generator.open("client", f"net_virtio_user0,path={tmp_path}/no-such.sock")


def test_it_ends_by_itself_when_nobody_comes(program: str, tmp_path: Path) -> None:
    begin = time.monotonic()
    done = subprocess.run(
        [program, tmp_path / "s", "1", "--in-memory", "--no-telemetry", "--no-pci", "--lcores", "0@0,1@1"],
        capture_output=True, timeout=30, check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert time.monotonic() - begin >= 1
    assert not (tmp_path / "s").exists()


def test_a_worker_that_naps_leaves_its_cpu_and_loses_nothing(start: Start) -> None:
    """Also ahead of everybody else on it, where the kernel lets it."""
    generator = start()
    generator.open("ring", "net_ring0")
    flow = RoutedStream(make_stream("a", HEADERS), "ring", "ring")
    generator.load([flow])
    loops = []
    for idle_sleep, realtime in ((0.0, False), (50e-6, False), (50e-6, True)):
        result = generator.run([20_000.0], seconds=0.5, idle_sleep=idle_sleep, realtime=realtime)
        trial = read_trial(result, [flow], pps=20_000.0, seconds=0.5)
        sent = result["streams"][0]["tx"]
        assert trial.sent + sent["late"] + sent["tx_full"] == 10_000  # late: of a sender that was held up
        assert (trial.lost, trial.streams[0].reordered) == (0, 0)
        loops.append(result["workers"][0]["loops"])
    # A loop that sends is followed by one that sleeps, or the other way round: at most two for each sleep.
    assert max(loops[1:]) < 2 * 0.6 / 50e-6 < loops[0]
