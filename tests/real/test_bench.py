"""``ouchi bench`` through the real OVS-DPDK of a lab, and what is kept of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ouchi.measure.generator.scapy_loader import load_scapy

if TYPE_CHECKING:
    from lab import Lab


def measured(lab: Lab, name: str, *words: str, seconds: int = 10) -> dict[str, Any]:
    """A run of one repeat, as JSON. Status 1 is a search that did not end: too noisy a machine, or too little time."""
    bounds = ("--repeats", "1", "--max-seconds", str(seconds), "-o", f"{lab.home}/run-{name}", "--json")
    done = lab.ouchi("bench", *words, *bounds, timeout=400, check=False)
    assert done.returncode in (0, 1), done.stderr[-3000:]
    run: dict[str, Any] = json.loads(done.stdout)
    assert run["info"]["ended"]
    assert run["info"]["labels"]
    for trial in trials(run):
        assert 0 <= trial["lost"] <= trial["sent"] <= trial["intended"]
    assert "| PDR" in lab.ouchi("report", f"{lab.home}/run-{name}", "--markdown").stdout
    return run


def trials(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [record["trial"] for record in run["trials"]]


def received(run: dict[str, Any]) -> int:
    return sum(int(trial["received"]) for trial in trials(run))


def bridges(lab: Lab) -> list[str]:
    return lab.run(["ovs-vsctl", "--db=unix:/run/ouchi/ovs/db.sock", "list-br"]).stdout.split()


def devices(lab: Lab) -> set[str]:
    return {link["ifname"] for link in json.loads(lab.run(["ip", "-json", "link"]).stdout)}


@pytest.mark.parametrize("path", ["loop", "v2v", "pvp", "pvvp"])
def test_a_path_is_measured(lab: Lab, path: str) -> None:
    lab.ouchi("up", "--until", "dataplane", timeout=200)
    pages = lab.path("/proc/sys/vm/nr_hugepages").read_text()
    run = measured(lab, path, "--path", path, "--goal", "pdr", seconds=20 if path == "v2v" else 10)
    assert received(run) > 100_000
    if path == "loop":
        return
    for trial in trials(run):  # nothing is lost that OVS has not counted: conservation, port by port
        ports = trial["counters"]["ovs"]["ports"].values()
        assert sum(port["rx_pkts"] for port in ports) >= trial["sent"]
        assert trial["counters"]["ovs"]["pmd"]
    alone, most = run["extras"]
    assert "frames lost" in alone["text"] or "inconclusive" in alone["text"]
    assert 0 < most["figures"]["busy"] <= 1
    assert "ouchi-bench" not in bridges(lab)
    assert lab.path("/proc/sys/vm/nr_hugepages").read_text() == pages


def test_frames_of_9000_bytes_through_ovs_and_a_guest(lab: Lab) -> None:
    run = measured(lab, "jumbo", "--path", "pvp", "--size", "9000", "--goal", "pdr")
    assert received(run) > 1000
    assert run["info"]["settings"]["mtu"] == 9000


def test_a_virtual_machine_is_the_guest(lab: Lab) -> None:
    run = measured(lab, "vm", "--path", "pvp", "--guest", "vm", "--goal", "pdr")
    assert received(run) > 10_000
    works, _ = json.loads(lab.path("/run/ouchi/kvm.json").read_text())
    assert any("emulated guests" in label for label in run["info"]["labels"]) is not works
    assert not [name for name in lab.services() if name == "bench"]


def test_over_wires_with_one_and_with_two(lab: Lab) -> None:
    """veth pairs stand for the cables, DPDK's packet sockets for the NICs: the same code opens those."""
    wires = []
    for number in range(2):
        near, far = f"near{number}", f"far{number}"
        lab.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far])
        for name in (near, far):
            lab.run(["ip", "link", "set", name, "up"])
        wires.append(("--wire", f"net_af_packet{number},iface={near}", f"net_af_packet{number + 10},iface={far}"))
    for count in (1, 2):
        words = [word for wire in wires[:count] for word in wire]
        run = measured(lab, f"wires-{count}", "--path", "p2p", *words, "--goal", "pdr")
        assert received(run) > 10_000
        assert run["info"]["request"]["directions"] == count
        assert len(run["info"]["request"]["wires"]) == count
    for name in ("near0", "near1"):
        lab.run(["ip", "link", "delete", name])


STREAMS = Path(__file__).parents[2] / "examples" / "streams"


def streams() -> Iterator[object]:
    """Every file over a ring, and through OVS one of each kind: tagged, tunnelled, captured."""
    for name in ("vlan", "qinq", "ipv6", "tcp", "vxlan", "geneve", "capture"):
        yield pytest.param("loop", name, id=f"{name}-loop")
        varies = name not in ("vlan", "vxlan", "capture")
        yield pytest.param("v2v", name, id=f"{name}-v2v", marks=[pytest.mark.exhaustive] if varies else [])


@pytest.mark.parametrize(("path", "name"), list(streams()))
def test_a_stream_file_is_sent_and_received(lab: Lab, path: str, name: str) -> None:
    """Without loss at a low rate; the generator checks each frame's signature."""
    run = one_rate(lab, f"{path}-{name}", "--path", path, "--stream", str(STREAMS / f"{name}.yaml"))
    for trial in trials(run):
        assert trial["received"] == trial["sent"] > 50  # of 1000; less than all when the generator is held up
        assert not [stream for stream in trial["streams"] if stream["corrupt"]]
    tagged = name in ("vlan", "qinq", "capture")
    if path == "v2v":
        assert ("output" in run["info"]["settings"]["forwarding"]) is tagged


SNIFF = """
import socket, struct, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
    wire.bind(("near1", 0))
    wire.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes the outer tag off
    print("listening", flush=True)
    seen = open(sys.argv[1], "w")  # a pipe that nobody reads yet would hold it up
    while True:
        frame, more, *_ = wire.recvmsg(10000, 100)
        if frame[-12] & 0xF0 != 0xC0:
            continue
        status, _, _, _, _, tag, tpid = struct.unpack("IIIHHHH", more[0][2])
        if status & 0x10:
            frame = frame[:12] + struct.pack("!HH", tpid, tag) + frame[12:]
        print(frame.hex(), file=seen, flush=True)
"""


@pytest.mark.parametrize("name", ["qinq", "vxlan", "ipv6"])
def test_what_comes_out_of_ovs_is_what_the_file_states(lab: Lab, name: str) -> None:
    """Frames at the far end of a wire behind OVS, decoded."""
    load_scapy()
    from scapy.layers.inet import TCP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Dot1Q, Ether
    from scapy.layers.vxlan import VXLAN

    wires = []
    for number in range(2):
        lab.run(["ip", "link", "add", f"near{number}", "type", "veth", "peer", "name", f"far{number}"])
        for end in (f"near{number}", f"far{number}"):
            lab.run(["sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{end}/disable_ipv6; ip link set {end} up"])
        wires += [
            "--wire",
            f"net_af_packet{number},iface=near{number}",
            f"net_af_packet{number + 10},iface=far{number}",
        ]
    record = lab.home / f"frames-{name}"
    sniffer = lab.start_program([sys.executable, "-c", SNIFF, str(record)])
    assert sniffer.stdout
    assert sniffer.stdout.readline().strip() == "listening"
    try:
        run = one_rate(
            lab, f"seen-{name}", "--path", "p2p", *wires, "--one-way", "--stream", str(STREAMS / f"{name}.yaml")
        )
        assert received(run) > 20  # of 1000; less than all when the generator is held up
    finally:
        sniffer.kill()
        sniffer.communicate(timeout=20)
        for number in range(2):
            lab.run(["ip", "link", "delete", f"near{number}"])
    # All but the last are whole: it was killed.
    seen = [Ether(bytes.fromhex(line)) for line in record.read_text().splitlines()[:-1]]
    there = [frame for frame in seen if frame.src == "02:0c:00:00:00:01"]
    assert len(there) > 10
    for frame in there:
        match name:
            case "qinq":
                tags = [frame.getlayer(Dot1Q, nb=number).vlan for number in (1, 2)]
                assert tags == [100, 200]  # both 802.1Q here: DPDK's af_packet puts the outer tag back as such
            case "vxlan":
                assert (frame[VXLAN].vni, frame[VXLAN][TCP].dport) == (5001, 80)
            case "ipv6":
                assert (frame[IPv6].src, frame[IPv6].dst) == ("2001:2::1", "2001:2:0:1::1")
    ports = {frame.getlayer("UDP").sport for frame in there}
    assert len(ports) > 1  # flows


@pytest.mark.parametrize("method", ["binary", "tst009"])
def test_another_search_finds_a_rate(lab: Lab, method: str) -> None:
    run = measured(lab, method, "--path", "loop", "--search", method, "--goal", "pdr")
    assert run["info"]["request"]["search"] == method
    assert run["summary"][0]["goal"] == "PDR"


def one_rate(lab: Lab, name: str, *words: str) -> dict[str, Any]:
    """A short run at a low rate, as JSON."""
    rate = ("--rate", "2kpps", "--seconds", "0.5", "--repeats", "1", "-o", f"{lab.home}/run-{name}", "--json")
    done = lab.ouchi("bench", *words, *rate, timeout=200)
    run: dict[str, Any] = json.loads(done.stdout)
    return run


def test_the_kernel_is_measured_beside_it(lab: Lab) -> None:
    lab.ouchi("up", "--until", "dataplane", timeout=200)
    before = devices(lab)
    also = ("--also", "maximum:0.2", "--also", "frame-loss:0.2", "--also", "soak:1")
    run = measured(lab, "kernel", "--beside-kernel", *also, "--goal", "pdr", seconds=15)
    extras = {row["name"]: row for row in run["extras"]}
    assert extras["iperf3 TCP through the kernel's bridge, one way"]["figures"]["received_bps"] > 1e6
    assert extras["iperf3 UDP through the kernel's bridge, one way"]["pps"] > 1000
    assert "PDR through the kernel's bridge" in extras
    assert "maximum receive rate" in extras
    # At 100% and less; a generator that is held up cannot offer that, and the row says so.
    assert any(name.startswith("frame loss") for name in extras)
    other = json.loads(lab.ouchi("report", f"{lab.home}/run-kernel/kernel", "--json").stdout)
    assert other["info"]["path"] == "kernel"
    assert received(other) > 10_000
    assert any(trial["counters"]["kernel"] for trial in trials(other))
    assert devices(lab) == before


def wait_for_trials(lab: Lab, gate: subprocess.Popen[str], folder: str, count: int) -> None:
    """Until a bench that runs has kept so many."""
    trials = lab.path(f"{folder}/trials.ndjson")
    deadline = time.monotonic() + 120
    while not trials.exists() or trials.read_text().count("\n") < count:
        assert time.monotonic() < deadline
        assert gate.poll() is None
        time.sleep(0.2)


def test_ctrl_c_keeps_what_was_measured(lab: Lab) -> None:
    gate = lab.start("bench", "--path", "loop", "--repeats", "50", "-o", f"{lab.home}/run-stopped")
    wait_for_trials(lab, gate, f"{lab.home}/run-stopped", 8)
    lab.signal(gate, signal.SIGINT)
    out, err = gate.communicate(timeout=60)
    assert gate.returncode == 130, (out[-2000:], err[-2000:])
    result = json.loads(lab.path(f"{lab.home}/run-stopped/run.json").read_text())
    assert result["ended"]
    assert not result["complete"]
    assert "trials" in lab.ouchi("report", f"{lab.home}/run-stopped").stdout


@pytest.mark.exhaustive
def test_after_a_killed_run_the_next_one_measures(lab: Lab) -> None:
    words = ("bench", "--path", "pvp", "--goal", "pdr", "--max-seconds", "20", "-o")
    gate = lab.start(*words, f"{lab.home}/run-killed", "--repeats", "50")
    wait_for_trials(lab, gate, f"{lab.home}/run-killed", 3)
    lab.kill9(gate)
    report = lab.ouchi("report", f"{lab.home}/run-killed")
    assert "not complete" in report.stdout + report.stderr
    again = lab.ouchi(*words, f"{lab.home}/run-again", "--repeats", "1", "--json", timeout=200, check=False)
    assert again.returncode in (0, 1), again.stderr[-3000:]
    assert received(json.loads(again.stdout)) > 100_000


def test_what_cannot_be_measured_is_refused(lab: Lab) -> None:
    for words in (
        ["--size", "10"],
        ["--size", "70000"],
        ["--size", "9001"],
        ["--path", "p2p"],
        ["--path", "p2p", "--wire", "net_af_packet0,iface=lo0", "eth9"],
        ["--beside-kernel", "--path", "pvp"],
        ["--also", "sleep"],
        ["--size", "imax"],
        ["--flows", "0"],
        ["--path", "moon"],
    ):
        done = lab.ouchi("bench", *words, check=False)
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    lab.run(["mkdir", "-p", f"{lab.home}/full"])
    lab.run(["touch", f"{lab.home}/full/thesis"])
    done = lab.ouchi("bench", "--path", "loop", "-o", f"{lab.home}/full", check=False, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "not empty" in done.stderr


def all_is_gone_after_down(lab: Lab) -> None:
    lab.ouchi("down", timeout=120)
    assert not lab.processes()
    assert not [name for name in devices(lab) if name.startswith(("ouchi", "br-", "ovs"))]
    assert not lab.path("/run/netns").exists()


@pytest.mark.parametrize("path", ["pvp", "kernel"])
@pytest.mark.exhaustive
def test_after_a_killed_run_down_takes_all_away(lab: Lab, path: str) -> None:
    gate = lab.start("bench", "--path", path, "--goal", "pdr", "--repeats", "50", "-o", f"{lab.home}/run-{path}-down")
    wait_for_trials(lab, gate, f"{lab.home}/run-{path}-down", 2)
    lab.kill9(gate)
    assert devices(lab) & ({"ouchi-bench"} if path == "pvp" else {"ouchi-krn-left"})
    all_is_gone_after_down(lab)


def test_the_lab_is_left_as_ouchi_found_it(lab: Lab) -> None:
    all_is_gone_after_down(lab)
