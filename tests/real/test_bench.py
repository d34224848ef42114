"""``ouchi bench`` through the real OVS-DPDK of a lab, and what is kept of it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab import Lab


def measured(lab: Lab, name: str, *words: str, seconds: int = 10) -> dict[str, Any]:
    """A run of one repeat, as JSON. Status 1 is a search that did not end: too noisy a machine, or too little time."""
    bounds = ("--repeats", "1", "--most-seconds", str(seconds), "-o", f"{lab.home}/run-{name}", "--json")
    done = lab.ouchi("bench", *words, *bounds, timeout=400, check=False)
    assert done.returncode in (0, 1), done.stderr[-3000:]
    run: dict[str, Any] = json.loads(done.stdout)
    assert run["run"]["ended"]
    assert run["run"]["labels"]
    for trial in run["trials"]:
        assert 0 <= trial["lost"] <= trial["sent"] <= trial["intended"]
    assert "| PDR" in lab.ouchi("report", f"{lab.home}/run-{name}", "--markdown").stdout
    return run


def received(run: dict[str, Any]) -> int:
    return sum(int(trial["received"]) for trial in run["trials"])


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
    for trial in run["trials"]:  # nothing is lost that OVS has not counted: conservation, port by port
        ports = trial["counters"]["ovs"]["ports"].values()
        assert sum(port["rx_pkts"] for port in ports) >= trial["sent"]
        assert trial["counters"]["ovs"]["pmd"]
    alone, most = run["beside"]
    assert "falsely lost" in alone["said"] or "no proof" in alone["said"]
    assert 0 < most["figures"]["busy"] <= 1
    assert "ouchi-bench" not in bridges(lab)
    assert lab.path("/proc/sys/vm/nr_hugepages").read_text() == pages


def test_frames_of_9000_bytes_through_ovs_and_a_guest(lab: Lab) -> None:
    run = measured(lab, "jumbo", "--path", "pvp", "--size", "9000", "--goal", "pdr")
    assert received(run) > 1000
    assert run["run"]["settings"]["MTU"] == 9000


def test_a_virtual_machine_is_the_guest(lab: Lab) -> None:
    run = measured(lab, "vm", "--path", "pvp", "--guest", "vm", "--goal", "pdr")
    assert received(run) > 10_000
    works, _ = json.loads(lab.path("/run/ouchi/kvm.json").read_text())
    assert any("emulated guests" in label for label in run["run"]["labels"]) is not works
    assert not [name for name in lab.services() if name == "bench"]


def test_over_wires_with_one_and_with_two(lab: Lab) -> None:
    """veth pairs stand for the cables, DPDK's packet sockets for the cards: the same code opens those."""
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
        assert run["run"]["what"]["directions"] == count
        assert len(run["run"]["what"]["wires"]) == count
    for name in ("near0", "near1"):
        lab.run(["ip", "link", "delete", name])


def test_the_kernel_is_measured_beside_it(lab: Lab) -> None:
    lab.ouchi("up", "--until", "dataplane", timeout=200)
    before = devices(lab)
    also = ("--also", "maximum:0.2", "--also", "frame-loss:0.2", "--also", "soak:1")
    run = measured(lab, "kernel", "--beside-kernel", *also, "--goal", "pdr", seconds=15)
    said = {row["what"]: row for row in run["beside"]}
    assert said["iperf3 TCP through the kernel's bridge, one way"]["figures"]["received_bps"] > 1e6
    assert said["iperf3 UDP through the kernel's bridge, one way"]["pps"] > 1000
    assert "PDR through the kernel's bridge" in said
    assert "most received" in said
    # At 100% and less; a generator that is held up cannot offer that, and the row says so.
    assert any(what.startswith("frame loss") for what in said)
    other = json.loads(lab.ouchi("report", f"{lab.home}/run-kernel/kernel", "--json").stdout)
    assert other["run"]["path"] == "kernel"
    assert received(other) > 10_000
    assert any(trial["counters"]["kernel"] for trial in other["trials"])
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
    told = json.loads(lab.path(f"{lab.home}/run-stopped/run.json").read_text())
    assert told["ended"]
    assert not told["complete"]
    assert "trials" in lab.ouchi("report", f"{lab.home}/run-stopped").stdout


@pytest.mark.exhaustive
def test_after_a_killed_run_the_next_one_measures(lab: Lab) -> None:
    words = ("bench", "--path", "pvp", "--goal", "pdr", "--most-seconds", "20", "-o")
    gate = lab.start(*words, f"{lab.home}/run-killed", "--repeats", "50")
    wait_for_trials(lab, gate, f"{lab.home}/run-killed", 3)
    lab.kill9(gate)
    report = lab.ouchi("report", f"{lab.home}/run-killed")
    assert "not complete" in report.stdout + report.stderr
    again = lab.ouchi(*words, f"{lab.home}/run-again", "--repeats", "1", "--json", timeout=200, check=False)
    assert again.returncode in (0, 1), again.stderr[-3000:]
    assert sum(trial["received"] for trial in json.loads(again.stdout)["trials"]) > 100_000


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
