"""A run's folder: on disk as it is measured, read back as it was, and refused where it is damaged."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ouchi
from ouchi.core.errors import BadInput, Failed
from ouchi.core.plain import to_plain
from ouchi.machine.local import LocalMachine
from ouchi.measure.runs import folder as run_module
from ouchi.measure.runs.folder import RunWriter, read_run, require_new
from ouchi.measure.runs.model import Result, RunInfo, TrialRecord, summarise
from ouchi.measure.search.goals import NDR, PDR, RFC2544, bounds
from tests.runs import write_run
from tests.simulated import SimulatedDevice

MACHINE = LocalMachine()
INFO = RunInfo("a run", "2026-11-23T05:00:00+00:00", "loop")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    write_run(folder, sizes=("64", "imix"), fault="stalled")
    return folder


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A finished run of three trials, to be damaged."""
    folder = tmp_path / "run"
    device = SimulatedDevice(1e6, stall_seconds=1e-3, stalls_per_second=3, ring=64)
    trials = [device.trial(pps, 1.0) for pps in (5e5, 9e5, 2e6)]
    writer = RunWriter(MACHINE, folder, INFO)
    for trial in trials:
        writer.add("64", 1, trial)
    results = [Result("64", 1, (bounds(RFC2544, trials),))]
    writer.results(results)
    writer.finish("2026-11-23T05:01:00+00:00", complete=True)
    return folder


def damage(folder: Path) -> list[tuple[str, str]]:
    """Where a run is damaged, and what was found there."""
    with pytest.raises(BadInput) as raised:
        read_run(MACHINE, folder)
    assert all(finding.expected and finding.remedy for finding in raised.value.findings)
    return [(finding.where.removeprefix(f"{folder}/"), finding.found) for finding in raised.value.findings]


def change_json(path: Path, change: Callable[[Any], None], line: int = 1) -> None:
    """Change the value of a file, or that of one line of it."""
    if path.suffix == ".json":
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))
        return
    lines = path.read_text().splitlines()
    value = json.loads(lines[line - 1])
    change(value)
    lines[line - 1] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n")


def test_a_run_is_read_as_it_was_written(measured: Path) -> None:
    run = read_run(MACHINE, measured)
    lines = [json.loads(line) for line in (measured / "trials.ndjson").read_text().splitlines()]
    assert [to_plain(record) for record in run.trials] == lines
    assert {record.size for record in run.trials} == {"64", "imix"} == set(run.sizes)
    results = json.loads((measured / "results.json").read_text())
    assert [to_plain(result) for result in run.results] == results["results"]
    assert [to_plain(row) for row in run.summary] == results["summary"]
    assert to_plain(run.info) == json.loads((measured / "run.json").read_text())
    assert run.info.complete
    assert run.notes == ()


def test_what_is_read_bounds_the_goals_as_the_search_did(measured: Path) -> None:
    run = read_run(MACHINE, measured)
    for result in run.results:
        trials = [each.trial for each in run.of_size(result.size) if each.repeat == result.repeat]
        searched = [trial for trial in trials if not trial.label]
        assert tuple(bounds(each.goal, searched, each.reason) for each in result.bounds) == result.bounds


def test_the_summary_is_of_the_lower_bounds(measured: Path) -> None:
    run = read_run(MACHINE, measured)
    assert run.summary == summarise(run.results)
    assert [(row.size, row.goal, row.n) for row in run.summary] == [
        (size, goal.name, 2) for size in ("64", "imix") for goal in (NDR, PDR)
    ]
    for row in run.summary:
        lowers = [
            each.lower_pps
            for result in run.results
            for each in result.bounds
            if (result.size, each.goal.name) == (row.size, row.goal)
        ]
        assert (row.low_pps, row.high_pps) == (min(lowers), max(lowers))
        assert row.median_pps == sum(lowers) / 2
        assert row.noise == pytest.approx((max(lowers) - min(lowers)) / row.median_pps)


def test_a_goal_without_a_rate_has_a_row_that_states_so() -> None:
    (row,) = summarise([Result("64", 1, (bounds(NDR, ()),))])
    assert (row.median_pps, row.n, row.noise) == (None, 0, None)


def test_a_trial_is_on_disk_when_add_returns(tmp_path: Path) -> None:
    folder, device = tmp_path / "run", SimulatedDevice(1e6)
    writer = RunWriter(MACHINE, folder, INFO)
    file = folder / "trials.ndjson"
    inode = file.stat().st_ino
    for count in range(1, 4):
        trial = device.trial(1e5, 1.0)
        writer.add("64", 1, trial)
        run = read_run(MACHINE, folder)
        assert len(run.trials) == count
        assert run.trials[-1] == TrialRecord("64", 1, trial)
        assert [note.claim for note in run.notes] == ["the run is not complete"]
    assert file.stat().st_ino == inode


def test_a_killed_run_keeps_its_trials(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from ouchi.machine.local import LocalMachine
from ouchi.measure.runs.model import RunInfo
from ouchi.measure.runs.folder import RunWriter
from tests.simulated import SimulatedDevice
writer = RunWriter(LocalMachine(), sys.argv[1], RunInfo("a run", "2026-11-23T05:00:00+00:00", "loop"))
device = SimulatedDevice(1e6)
for _ in range(3):
    writer.add("64", 1, device.trial(1e5, 1.0))
os.kill(os.getpid(), signal.SIGKILL)
"""
    roots = (str(Path(ouchi.__file__).parents[1]), str(Path(__file__).parents[2]))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], env=env, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [each.trial.number for each in read_run(MACHINE, tmp_path / "run").trials] == [1, 2, 3]


def test_an_incomplete_last_line_is_skipped_wherever_it_was_cut(few: Path) -> None:
    file = few / "trials.ndjson"
    whole = file.read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    for end in range(begin + 1, len(whole) - 1, 37):
        file.write_bytes(whole[:end])
        run = read_run(MACHINE, few)
        assert len(run.trials) == 2
        assert [(note.claim, note.where) for note in run.notes] == [("an incomplete trial was skipped", f"{file}:3")]
    file.write_bytes(whole[:-1])  # only the end of the line is missing
    assert len(read_run(MACHINE, few).trials) == 3


def test_files_can_be_read_by_everybody(measured: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in measured.iterdir()}
    assert modes == dict.fromkeys(("run.json", "trials.ndjson", "results.json"), 0o644)


def test_attachments_lie_beside_it(few: Path) -> None:
    folder = few.parent / "other"
    RunWriter(MACHINE, folder, INFO).attach("counters-before", {"port": {"rx": 1}})
    assert json.loads((folder / "counters-before.json").read_text()) == {"port": {"rx": 1}}


def test_a_folder_with_files_is_not_written_to(few: Path) -> None:
    before = {path: path.read_bytes() for path in few.iterdir()}
    with pytest.raises(BadInput, match="not empty"):
        RunWriter(MACHINE, few, INFO)
    assert {path: path.read_bytes() for path in few.iterdir()} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
def test_another_users_folder_is_refused_before_anything_is_prepared(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    for folder in (tmp_path / "theirs", tmp_path / "theirs" / "run"):
        with pytest.raises(BadInput, match="belongs to user id 65534"):
            require_new(MACHINE, folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be made"):
        RunWriter(MACHINE, tmp_path / "file" / "run", INFO)


def test_a_full_disk_is_no_silence(tmp_path: Path) -> None:
    class Full(LocalMachine):
        def append(self, _path: object, text: str) -> None:
            super().append("/dev/full", text)

    writer = RunWriter(Full(), tmp_path / "run", INFO)
    with pytest.raises(Failed, match=r"No space left(.|\n)*another folder"):
        writer.add("64", 1, SimulatedDevice(1e6).trial(1e5, 1.0))


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no run(.|\n)*ouchi bench"):
        read_run(MACHINE, tmp_path / "nowhere")


def set_to(*path: str | int, value: Any) -> Callable[[Any], None]:
    """A change of one member."""

    def change(whole: Any) -> None:
        for step in path[:-1]:
            whole = whole[step]
        whole[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("file", "change", "where", "message"),
    [
        ("run.json", set_to("schema", value=4), "run.json:1", "schema"),
        ("run.json", set_to("kind", value="fish"), "run.json:1", "kind"),
        ("run.json", lambda whole: whole.pop("kind"), "run.json:1", "kind"),
        ("run.json", lambda whole: whole.pop("schema"), "run.json:1", "schema"),
        ("run.json", set_to("labels", value="text"), "run.json:1", "labels"),
        ("run.json", set_to("started", value="yesterday"), "run.json:1", "yesterday"),
        ("run.json", set_to("ended", value="2026-11-23T05:00:00"), "run.json:1", "no zone"),
        ("results.json", set_to("results", 0, "bounds", 0, "goal", value="NDR"), "results.json:1", "goal"),
        ("results.json", lambda whole: whole["summary"].extend(whole["summary"]), "results.json:1", "two rows"),
        ("trials.ndjson", set_to("trial", "streams", 0, "sent", value="many"), "trials.ndjson:2", "streams.0.sent"),
        ("trials.ndjson", set_to("trial", "streams", 0, "sent", value=-1), "trials.ndjson:2", "below zero"),
        ("trials.ndjson", set_to("trial", "seconds", value=1e300), "trials.ndjson:2", "out of range"),
        ("trials.ndjson", set_to("trial", "seconds", value=float("nan")), "trials.ndjson:2", "out of range"),
        ("trials.ndjson", set_to("trial", "number", value=10**400), "trials.ndjson:2", "out of range"),
        (
            "trials.ndjson",
            set_to("trial", "streams", 0, "latency", "counts", value=[[5, 1], [5, 1]]),
            "trials.ndjson:2",
            "order",
        ),
        ("trials.ndjson", lambda whole: whole.pop("size"), "trials.ndjson:2", "size"),
        ("trials.ndjson", lambda whole: whole["trial"].pop("stalls"), "trials.ndjson:2", "stalls"),
    ],
)
def test_what_is_damaged_is_reported_by_file_and_line(
    few: Path, file: str, change: Callable[[Any], None], where: str, message: str
) -> None:
    change_json(few / file, change, line=2)
    ((found_where, found),) = damage(few)
    assert found_where == where
    assert message in found


@pytest.mark.parametrize("text", ["", "[]", "null", "7", '"text"', "{", "{}", "\x00" * 100, "[" * 100_000])
@pytest.mark.parametrize("file", ["run.json", "results.json"])
def test_other_values_are_no_run(few: Path, file: str, text: str) -> None:
    (few / file).write_text(text)
    if (file, text) == ("results.json", "{}"):  # nothing was found yet
        assert read_run(MACHINE, few).results == ()
    else:
        assert damage(few)[0][0].startswith(f"{file}:1")


def test_everything_is_reported_at_once(few: Path) -> None:
    (few / "run.json").write_text('{\n "schema": 1,\n oops\n}')
    (few / "results.json").write_text("[]")
    lines = (few / "trials.ndjson").read_text().splitlines()
    (few / "trials.ndjson").write_text("\n".join(["{", lines[1], "[" * 100_000, ""]))
    assert [where for where, _ in damage(few)] == ["run.json:3", "trials.ndjson:1", "trials.ndjson:3", "results.json:1"]


def test_what_is_too_large_is_not_read(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "MAX_TRIALS", 100)
    assert "larger than" in damage(few)[0][1]


def test_a_folder_in_position_of_a_file(few: Path) -> None:
    (few / "trials.ndjson").unlink()
    (few / "trials.ndjson").mkdir()
    assert damage(few) == [("trials.ndjson", "the file cannot be read: Is a directory")]


def test_text_comes_without_what_a_terminal_obeys(few: Path) -> None:
    change_json(few / "run.json", set_to("name", value="a\x1b[31mb\nc\u202ed\ud800" + "x" * 5000))
    name = read_run(MACHINE, few).info.name
    assert name.startswith("a\ufffd[31mb c\ufffdd\ufffdxxx")
    assert len(name) < 2100
    name.encode()


@given(st.data())
def test_no_damage_leads_to_anything_else(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "run"
    writer = RunWriter(MACHINE, folder, INFO)
    trial = SimulatedDevice(1e6).trial(2e6, 1.0)
    writer.add("64", 1, trial)
    results = [Result("64", 1, (bounds(RFC2544, [trial]),))]
    writer.results(results)
    file = folder / data.draw(st.sampled_from(["run.json", "trials.ndjson", "results.json"]))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(
            st.sampled_from([b"", b"-", b"9e9", b'"', b"\xff", b"null", b"[]", b"{", b"\n", b"\\ud800"])
        )
    file.write_bytes(content)
    try:
        found = read_run(MACHINE, folder).notes
    except BadInput as damaged:
        found = damaged.findings
    assert all(str(folder) in finding.where for finding in found)


SCHEMA1 = Path(__file__).parents[1] / "cases" / "runs" / "schema1"


def test_a_run_of_the_version_before_is_read() -> None:
    run = read_run(MACHINE, SCHEMA1)
    assert run.notes == ()
    assert run.info.started == "2026-11-23T05:00:00+00:00"
    assert run.info.request["frame_sizes"] == ["64"]
    assert [record.trial.number for record in run.trials] == [1, 2, 3]
    trial = run.trials[-1].trial
    assert trial.under_offered == ("too little",)
    assert trial.tester_suspect
    assert {stream.tx_backpressure for stream in trial.streams} == {7}
    assert trial.streams[0].rx_overrun_suspect > 0
    assert (run.extras[0].name, run.extras[0].text) == ("through the kernel's bridge", "0.03 times as much")
    assert run.summary == summarise(run.results)


def test_a_run_with_spaces_in_its_keys_is_read() -> None:
    run = read_run(MACHINE, SCHEMA1.with_name("schema2"))
    assert run.notes == ()
    mappings = (run.info.request, run.info.versions, run.info.settings)
    assert [key for mapping in mappings for key in mapping if not re.fullmatch("[a-z_]+", key)] == []
    assert run.info.request["frame_sizes"] == ["64"]
    assert run.info.versions["generator_dpdk"] == "22.11.7"
    assert run.info.settings["generator_cpus"] == [0]
    assert [record.trial.counters["ovs"]["pmd"]["pmd_1"]["cycles_per_packet"] for record in run.trials] == [2, 2, 2]


def test_damage_to_a_run_of_the_version_before_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for file in SCHEMA1.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change_json(folder / "trials.ndjson", lambda trial: trial.pop("problems"), line=2)
    change_json(folder / "run.json", lambda info: info.pop("began"))
    assert [where for where, _ in damage(folder)] == ["run.json:1", "trials.ndjson:2"]
