"""``ouchi bench`` through the real OVS-DPDK of a lab, and what is kept of it."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab import Lab


@pytest.mark.parametrize("path", ["loop", "v2v", "pvp"])
def test_a_path_is_measured(lab: Lab, path: str) -> None:
    before = lab.path("/proc/sys/vm/nr_hugepages").read_text() if path == "pvp" else ""
    words = ["bench", "--path", path, "--size", "64", "--goal", "pdr", "--repeats", "1", "--most-seconds", "40"]
    done = lab.ouchi(*words, "-o", f"{lab.home}/run-{path}", "--json", timeout=300, check=False)
    assert done.returncode in (0, 1), done.stderr[-3000:]  # 1: too noisy a machine for a search to end
    run = json.loads(done.stdout)
    assert run["run"]["labels"]
    trials = [trial for trial in run["trials"] if trial["label"] != "teach"]
    assert sum(trial["received"] for trial in trials) > 100_000
    for trial in trials:
        assert 0 <= trial["lost"] <= trial["sent"] <= trial["intended"]
    if path != "loop":
        for trial in trials:  # nothing is lost that OVS has not counted: conservation, port by port
            ports = trial["counters"]["ovs"]["ports"].values()
            assert sum(port["rx_pkts"] for port in ports) >= trial["sent"]
            assert trial["counters"]["ovs"]["pmd"]
        bridges = lab.run(["ovs-vsctl", "--db=unix:/run/ouchi/ovs/db.sock", "list-br"]).stdout.split()
        assert "ouchi-bench" not in bridges
    assert not before or before == lab.path("/proc/sys/vm/nr_hugepages").read_text()
    report = lab.ouchi("report", f"{lab.home}/run-{path}", "--markdown")
    assert "| PDR" in report.stdout


def test_ctrl_c_keeps_what_was_measured(lab: Lab) -> None:
    gate = lab.start("bench", "--path", "loop", "--repeats", "50", "-o", f"{lab.home}/run-stopped")
    trials = lab.path(f"{lab.home}/run-stopped/trials.ndjson")
    deadline = time.monotonic() + 120
    while not trials.exists() or trials.read_text().count("\n") < 8:
        assert time.monotonic() < deadline
        assert gate.poll() is None
        time.sleep(0.2)
    lab.signal(gate, signal.SIGINT)
    out, err = gate.communicate(timeout=60)
    assert gate.returncode == 130, (out[-2000:], err[-2000:])
    told = json.loads(lab.path(f"{lab.home}/run-stopped/run.json").read_text())
    assert told["ended"]
    assert not told["complete"]
    assert "trials" in lab.ouchi("report", f"{lab.home}/run-stopped").stdout


def test_after_a_killed_run_the_next_one_measures(lab: Lab) -> None:
    words = ("bench", "--path", "pvp", "--goal", "pdr", "--most-seconds", "20", "-o")
    gate = lab.start(*words, f"{lab.home}/run-killed", "--repeats", "50")
    trials = lab.path(f"{lab.home}/run-killed/trials.ndjson")
    deadline = time.monotonic() + 120
    while not trials.exists() or trials.read_text().count("\n") < 3:
        assert time.monotonic() < deadline
        assert gate.poll() is None
        time.sleep(0.2)
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
        ["--size", "9000"],
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


def test_the_lab_is_left_as_ouchi_found_it(lab: Lab) -> None:
    lab.ouchi("down", timeout=120)
    assert not lab.processes()
