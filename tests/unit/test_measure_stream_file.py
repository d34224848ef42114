"""Stream files: the examples, what is wrong with a file by line and column, and hostile ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ouchi.cli import main
from ouchi.core.errors import BadInput
from ouchi.machine.local import LocalMachine
from ouchi.measure.generator.frames import VXLAN_PORT
from ouchi.measure.generator.scapy_loader import load_scapy
from ouchi.measure.generator.stream_file import StreamSpec, read_stream_file
from ouchi.measure.generator.stream_model import StreamFile
from ouchi.measure.request import BenchRequest
from tests.frames import check

load_scapy()
from scapy.contrib.geneve import GENEVE  # noqa: E402
from scapy.layers.inet import IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.layers.vxlan import VXLAN  # noqa: E402

MACHINE = LocalMachine()
EXAMPLES = Path(__file__).parents[2] / "examples" / "streams"


def read(folder: Path, text: str) -> StreamSpec:
    file = folder / "stream.yaml"
    file.write_text(text)
    return read_stream_file(MACHINE, str(file))


def frames(spec: StreamSpec, direction: int = 0) -> list[Any]:
    request = BenchRequest(sizes=(spec.size,), flows=spec.flows, template=spec.template)
    return [Ether(frame) for frame in request.stream(direction, spec.size).frames]


def example(name: str) -> StreamSpec:
    return read_stream_file(MACHINE, str(EXAMPLES / f"{name}.yaml"))


def test_the_examples_are_those_tested_here() -> None:
    names = {"vlan", "qinq", "ipv6", "tcp", "vxlan", "geneve", "capture"}
    assert {file.stem for file in EXAMPLES.glob("*.yaml")} == names


def test_the_documents_example_is_the_example(tmp_path: Path) -> None:
    text = (EXAMPLES.parents[1] / "docs" / "bench.md").read_text()
    shown = read(tmp_path, text.partition("```yaml\n")[2].partition("```")[0])
    assert frames(shown) == frames(example("vxlan"))


@pytest.mark.parametrize("name", ["vlan", "qinq", "ipv6", "tcp", "vxlan", "geneve", "capture"])
def test_the_frames_of_an_example_are_valid_in_both_directions(name: str) -> None:
    for direction in range(2):
        for frame in frames(example(name), direction):
            check(bytes(frame))


def test_vlans() -> None:
    spec = example("vlan")
    (frame,) = frames(spec)
    assert (frame[Dot1Q].vlan, spec.flows, spec.template.tagged) == (100, 3, True)
    (field,) = BenchRequest(flows=3, template=spec.template).stream(0, "128").fields
    assert field.values == (100, 200, 300)


def test_qinq() -> None:
    small, *_ = frames(example("qinq"))
    assert (small[Dot1AD].vlan, small[Dot1Q].vlan) == (100, 200)
    assert {len(frame) + 4 for frame in frames(example("qinq"))} == {128, 512, 1518}


def test_ipv6_is_mirrored() -> None:
    (there,), (back,) = frames(example("ipv6")), frames(example("ipv6"), 1)
    assert (there[IPv6].src, there[IPv6].dst) == (back[IPv6].dst, back[IPv6].src) == ("2001:2::1", "2001:2:0:1::1")


def test_tcp_is_mirrored() -> None:
    (there,), (back,) = frames(example("tcp")), frames(example("tcp"), 1)
    assert (there[TCP].sport, there[TCP].dport) == (back[TCP].dport, back[TCP].sport) == (1024, 443)


def test_vxlan_keeps_its_port_in_both_directions() -> None:
    (there,), (back,) = frames(example("vxlan")), frames(example("vxlan"), 1)
    for frame in (there, back):
        assert (frame[UDP].dport, frame[VXLAN].vni) == (VXLAN_PORT, 5001)
    assert (there[VXLAN][IP].src, back[VXLAN][IP].src) == ("10.0.0.1", "10.0.1.1")
    assert (there[VXLAN][Ether].src, back[VXLAN][Ether].src) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (there[TCP].dport, back[TCP].sport) == (80, 80)


def test_geneve_over_ipv6() -> None:
    (frame,) = frames(example("geneve"))
    assert (frame[GENEVE].vni, frame[GENEVE][Dot1Q].vlan, frame[IPv6].src) == (7, 42, "2001:2::1")


def test_a_capture_is_sent_as_it_is_with_a_note() -> None:
    spec = example("capture")
    assert [frame[UDP].sport for frame in frames(spec)] == [40000, 40001]
    request = BenchRequest(sizes=(spec.size,), template=spec.template)
    assert request.to_json()["stream"] == "dns.pcap"
    assert "signature" in request.to_json()["stream_notes"][0]
    assert spec.template.tagged  # forwarded by port: its MAC addresses are its own


def test_a_file_without_keys_is_the_default(tmp_path: Path) -> None:
    assert read(tmp_path, "# nothing\n").size == "64"


def test_the_default_size_is_the_smallest_possible(tmp_path: Path) -> None:
    assert read(tmp_path, "vlans: [1, 2]\nsrc_ip: ::1\ndst_ip: ::2\nprotocol: tcp\n").size == "98"


@pytest.mark.parametrize(
    ("text", "where", "claim"),
    [
        ("vlan: 5\n", "1:1", 'no key "vlan"'),
        ("size: 64\nsize: 65\n", "2:1", "twice"),
        ("flows: many\n", "1:8", "wrong type"),
        ("protocol: sctp\n", "1:11", "none of the choices"),
        ("tunnel:\n  kind: vxlan\n", "2:3", "vni is missing"),
        ("tunnel: {kind: vxlan, vni: 16777216}\n", "1:28", "not valid in a frame"),
        ("tunnel: {kind: vxlan, vni: 1, inner: {dst_mac: x}}\n", "1:48", "not valid in a frame"),
        ("tunnel: {kind: vxlan, vni: 1}\nprotocol: tcp\n", "2:11", "not valid in a frame"),
        ("size: 10\n", "1:7", "out of range"),
        ("size: 60\nvlans: [1, 2, 3]\n", "2:8", "too many VLAN tags"),
        ("vlans:\n- 4095\n", "2:1", "not valid in a frame"),
        ("src_ip: 198.18.0.1\ndst_ip: 2001:2::1\n", "1:1", "not valid in a frame"),
        ("src_port: 0\n", "1:11", "not valid in a frame"),
        ("size: 64\nprotocol: tcp\nvlans: [1]\n", "1:7", "too small"),
        ("flows: 0\n", "1:8", "out of range"),
        ("flows: 65537\nvary:\n  - field: src_port\n", "1:8", "cannot produce exactly"),
        ("flows: 2\nvary:\n  - field: vlan\n", "3:3", "no such field"),
        ("flows: 2\nvary:\n  - field: src_ip\n  - field: src_port\n    step: 0\n", "4:5", "step is out of range"),
        ("capture: x.pcap\nflows: 2\n", "2:8", "cannot be combined"),
        ("size: &a 64\nflows: *a\n", "1:7", "anchors and aliases"),
        ("size: !!python/object 64\n", "1:7", "tags are not read"),
        ("- 1\n", "1:1", "wrong type"),
        ("a: [\n", "2:1", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_located(tmp_path: Path, text: str, where: str, claim: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)
    found = [(finding.where.partition("stream.yaml:")[2], finding.claim) for finding in caught.value.findings]
    assert any(at == where and claim in output for at, output in found), found


def test_everything_wrong_with_the_values_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, "src_port: 0\nvlans: [0]\nflows: 0\nsize: x\n")
    assert len(caught.value.findings) >= 3


def bomb(folder: Path) -> str:
    lines = [
        "a: &a [x, x]",
        *(f"{new}: &{new} [*{old}, *{old}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
    (folder / "bomb.yaml").write_text("\n".join(lines))
    return "bomb.yaml"


def fifo(folder: Path) -> str:
    os.mkfifo(folder / "fifo")
    return "fifo"


def large(folder: Path) -> str:
    with (folder / "large").open("wb") as file:
        file.truncate(8 << 30)
    return "large"


def deep(folder: Path) -> str:
    (folder / "deep.yaml").write_text("[" * 100_000)
    return "deep.yaml"


def truncated(folder: Path) -> str:
    (folder / "truncated.pcap").write_bytes((EXAMPLES / "dns.pcap").read_bytes()[:-3])
    return "truncated.pcap"


def boastful(folder: Path) -> str:
    """A record that claims 4 GiB."""
    content = (EXAMPLES / "dns.pcap").read_bytes()
    (folder / "boastful.pcap").write_bytes(content[:32] + b"\xff" * 8 + content[40:])
    return "boastful.pcap"


@pytest.mark.parametrize("make", [bomb, fifo, large, deep, lambda _: "/dev/zero", lambda _: ".", lambda _: "nowhere"])
def test_hostile_stream_files_end_with_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ouchi", "bench", "--dry-run", "--stream", make(tmp_path)])
    assert main() == 2
    output = capsys.readouterr().err
    assert "rror" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("make", [fifo, large, truncated, boastful, lambda _: "/dev/zero", lambda _: "nowhere"])
def test_hostile_captures_end_with_a_finding(tmp_path: Path, make: Any) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, f"capture: {make(tmp_path)}\n")
    assert caught.value.findings[0].where


@pytest.mark.parametrize("words", [["--size", "64"], ["--flows", "2"]])
def test_what_the_file_has_is_no_option_as_well(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    file = str(EXAMPLES / "tcp.yaml")
    monkeypatch.setattr(sys, "argv", ["ouchi", "bench", "--dry-run", "--stream", file, *words])
    assert main() == 2


@pytest.mark.parametrize(("name", "status"), [("tcp", 0), ("vlan", 2), ("ipv6", 2), ("capture", 2), ("vxlan", 0)])
def test_a_virtual_machine_routes_untagged_ipv4_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["bench", "--dry-run", "--path", "pvp", "--guest", "vm", "--stream", str(EXAMPLES / f"{name}.yaml")]
    monkeypatch.setattr(sys, "argv", ["ouchi", *words])
    assert main() == status


def test_each_key_has_a_description() -> None:
    assert all(field.description for field in StreamFile.model_fields.values())
