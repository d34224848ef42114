"""The picture of a plan's networks: everything of the site once, nothing over anything else, each port on its network."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ouchi.cli import main
from ouchi.plan import make_plan
from ouchi.plan.target import Target
from ouchi.report.picture.font_metrics import width_at_most
from ouchi.report.picture.shapes import Box, Picture
from ouchi.report.picture.svg import topology_document
from ouchi.report.picture.topology import BOLD, DOT, SIZES, topology
from ouchi.site import load_site
from tests.hosts import folder, names
from tests.plans import facts_of, target_of
from tests.rack import rack

LARGE = """\
name: large
networks:
""" + "".join(
    f"  - {{name: net{n}, physnet: physnet{n % 3}, vlan: {100 + n}, subnet: 10.{n}.0.0/24, endpoint: 10.{n}.0.2}}\n"
    for n in range(7)
) + """\
servers:
""" + "".join(
    f"  - {{name: server{n}, vcpus: 1, memory: 256 MiB, ports: [{{network: net{n % 7}, address: 10.{n % 7}.0.{20 + n}}}, {{network: net{(n + 3) % 7}}}]}}\n"
    for n in range(12)
)  # fmt: skip


def large() -> Target:
    """Seven networks on three physnets without a NIC, twelve servers."""
    site, facts = load_site(LARGE.encode(), "site.yaml"), facts_of("epyc-7713-nps4")
    return Target(site, facts, make_plan(site, facts, fit=False), "site.yaml")


TARGETS = {**{name: target_of(name) for name in names()}, "rack": rack(), "large": large()}


def of_kind(picture: Picture, *kinds: str) -> list[Box]:
    return [box for box in picture.boxes if box.kind in kinds]


def overlap(one: Box, other: Box) -> bool:
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_covers_anything_else(name: str) -> None:
    picture = topology(TARGETS[name])
    assert all(Box("page", 0, 0, picture.width, picture.height).holds(box) for box in picture.boxes)
    for kinds in (("nic", "frame", "group"), ("text", "note", "chip")):
        assert [pair for pair in combinations(of_kind(picture, *kinds), 2) if overlap(*pair)] == []
    for box in picture.boxes:
        style = box.look if box.kind == "text" else box.kind
        if box.text:
            assert width_at_most(box.text, SIZES[style], bold=style in BOLD) <= box.width, box


@pytest.mark.parametrize("name", TARGETS)
def test_each_port_is_on_its_network(name: str) -> None:
    target = TARGETS[name]
    picture = topology(target)
    chips = [box for box in of_kind(picture, "chip") if box.height != DOT]
    bars = {
        next(text.text.split(" · ")[0] for text in of_kind(picture, "text") if bar.holds(text)): bar
        for bar in of_kind(picture, "group")
    }
    assert set(bars) == {network.name for network in target.site.networks}
    found = []
    for line in picture.lines:
        (x, y), (_, end) = line.points
        network = next((name for name, bar in bars.items() if bar.y < end < bar.bottom), "")
        if line.look == "queue":
            chip = next(box for box in chips if box.x <= x < box.right and box.y == y)
            box = next(box for box in of_kind(picture, "nic") if box.holds(chip))
            found.append((next(note.text for note in of_kind(picture, "note") if box.holds(note)), network))
        else:
            above = next(box for box in of_kind(picture, "frame", "nic") if box.bottom == y and box.x < x < box.right)
            assert (above.kind == "frame") == bool(network)
        crossed = [
            text for text in of_kind(picture, "text") if text.x < x < text.right and min(y, end) < text.y < max(y, end)
        ]
        assert crossed == []
    expected = [(network.name, network.name) for network in target.site.networks if network.endpoint]
    expected += [(server.name, port.network) for server in target.site.servers for port in server.ports]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", TARGETS)
def test_lines_keep_apart(name: str) -> None:
    columns = [
        line.points[0][0] for line in topology(TARGETS[name]).lines if line.points[1][1] - line.points[0][1] != 20
    ]
    assert [pair for pair in combinations(sorted(columns), 2) if abs(pair[0] - pair[1]) < 8] == []


def test_the_command_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["plan", "--snapshot", str(folder("ryzen-5-3600")), "--topology", "networks.svg"]
    monkeypatch.setattr(sys, "argv", ["ouchi", *words])
    assert main() == 0
    root = ET.fromstring((tmp_path / "networks.svg").read_text())
    assert "VLAN 101" in "".join(root.itertext())


@pytest.mark.parametrize("option", ["--svg", "--topology"])
def test_other_formats_are_refused(
    option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ouchi", "plan", "--snapshot", str(folder("vm-8-cpus")), option, "a.PNG"])
    assert main() == 2
    assert "rsvg-convert -z 2 -o a.PNG a.svg" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "a.PNG").exists()


def test_the_document_is_described() -> None:
    text = topology_document(rack())
    assert "Network left · VLAN 101 · 10.101.0.0/24." in text
    assert "endpoint (2 vCPUs, 1 GiB" in text
