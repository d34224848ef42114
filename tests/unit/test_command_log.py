"""The command log: what ouchi ran, where, for how long, with which end, and no credentials."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ouchi
from ouchi.cli.timeline import timeline_of
from ouchi.core import log
from ouchi.core.instance import Instance
from ouchi.core.log import Record
from ouchi.core.redact import add_secrets, hide_secrets
from ouchi.machine import CommandFailed, command_log, processes
from ouchi.machine.local import LocalMachine
from ouchi.parts import registry
from ouchi.parts.secrets import make_secrets

SRC = Path(ouchi.__file__).parents[1]


@pytest.fixture
def records() -> Iterator[list[Record]]:
    """Everything that is logged during the test."""
    found: list[Record] = []
    before = log.log_to(found.append)
    yield found
    log.log_to(before)


def one(records: list[Record], action: str) -> Record:
    (found,) = (record for record in records if record.action == action)
    return found


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -15)])
def test_a_command_and_its_end(records: list[Record], script: str, status: int) -> None:
    LocalMachine().run(("sh", "-c", f"sleep 0.05; {script}"), check=False)
    (record,) = records
    assert (record.host, record.action, record.status) == ("local", "run", status)
    assert record.argv == ("sh", "-c", f"sleep 0.05; {script}")
    assert 0.05 <= record.seconds < 5
    assert record.note == ""


def test_a_command_that_fails_a_check(records: list[Record]) -> None:
    with pytest.raises(CommandFailed):
        LocalMachine().run(("false",))
    assert [record.status for record in records] == [1]


def test_a_command_that_is_killed_by_its_time_limit(records: list[Record]) -> None:
    with pytest.raises(CommandFailed):
        LocalMachine().run(("sleep", "60"), timeout=0.2)
    (record,) = records
    assert (record.status, record.note) == (-9, "killed after 0.2 s")
    assert 0.2 <= record.seconds < 5


def test_a_program_that_is_not_there(records: list[Record]) -> None:
    with pytest.raises(CommandFailed):
        LocalMachine().run(("no-such-program",), check=False)
    assert (records[0].argv, records[0].status) == (("no-such-program",), 127)


def test_a_background_program_has_a_line_for_its_start_and_one_for_its_end(
    records: list[Record], tmp_path: Path
) -> None:
    running = LocalMachine().start(("sleep", "60"), log=tmp_path / "log", env={"COLOUR": "red"})
    running.kill()
    assert running.status() == -9
    assert [(record.action, record.argv, record.status) for record in records] == [
        ("start", ("sleep", "60"), None),
        ("end", ("sleep",), -9),
    ]
    assert records[0].note == records[1].note == f"process {running.pid}"
    assert records[0].env == ("COLOUR",)


def test_changes_of_files(records: list[Record], tmp_path: Path) -> None:
    machine = LocalMachine()
    folder, file = f"{tmp_path}/folder", f"{tmp_path}/folder/file"
    machine.make_folder(folder)
    machine.make_folder(folder)
    machine.write(file, "four")
    machine.poke(file, "512")
    machine.remove(file)
    with pytest.raises(OSError, match="directory"):
        machine.poke(folder, "1")
    assert [(record.action, record.argv, record.note) for record in records] == [
        ("folder", (folder,), ""),
        ("write", (file, "4 bytes"), ""),
        ("poke", (file, "512"), ""),
        ("remove", (file,), ""),
        ("poke", (folder, "1"), "Is a directory"),
    ]


def test_processes_that_are_ended(records: list[Record]) -> None:
    marks = {"OUCHI_INSTANCE": "log-test", "OUCHI_SERVICE": "sleeper"}
    with subprocess.Popen(["sleep", "60"], env={**os.environ, **marks}) as sleeper:
        processes.end("log-test", polite_seconds=2)
    assert one(records, "signal").argv == ("SIGTERM", str(sleeper.pid), "sleeper")


def test_nothing_is_done_while_it_is_off() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("looked at")

    assert log.log_to(None) is None
    log.write("local", "run", (Costly(),))


SECRET = "hunter2hunter2"


def test_no_credential_gets_into_the_log(records: list[Record], tmp_path: Path) -> None:
    instance = Instance(state=str(tmp_path))
    machine = LocalMachine()
    generated = make_secrets(machine, instance, registry.secrets())
    assert set(generated) == set(registry.secrets())
    for value in generated.values():
        machine.run(("true", value, f"create user 'nova'@'localhost' identified by '{value}'", f"x{value}y"))
        machine.run(("cat",), input=f"set password {value}", env={"OS_BOOTSTRAP_PASSWORD": value})
        with pytest.raises(CommandFailed):
            machine.run(("sh", "-c", f"echo {value} >&2; sleep 60"), timeout=0.1)
    for words in (
        ("--password", SECRET),
        (f"--password={SECRET}",),
        ("--os-auth-token", SECRET),
        (f"mysql+pymysql://nova:{SECRET}@localhost/nova",),
        (f"default_pass = {SECRET}",),
        (f"ALTER USER x IDENTIFIED BY '{SECRET}'",),
        ("-H", f"X-Auth-Token: {SECRET}"),
        ("-H", f"Authorization: Basic {SECRET}"),
        (f'{{"auth": {{"password": "{SECRET}"}}}}',),
        (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----",),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}",),
    ):
        machine.run(("true", *words))
        assert "***" in " ".join(records[-1].argv)
    machine.run(("cat",), input=SECRET, env={"PASSWORD": SECRET})
    assert (records[-1].env, records[-1].input) == (("PASSWORD",), len(SECRET))
    text = "\n".join(json.dumps(record.to_json()) + str(record) for record in records)
    assert not [value for value in (SECRET, *generated.values()) if value in text]


@pytest.mark.parametrize(
    "text",
    [
        "ovs-vsctl --may-exist add-br br-int",
        "cat /proc/sys/kernel/random/boot_id",
        "http://127.0.0.1:5000/v3",
        "[10.0.0.1]:22 user@host",
        "token bucket, no key",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert hide_secrets(text) == text


def test_short_values_are_no_secrets() -> None:
    add_secrets(["up", ""])
    assert hide_secrets("ouchi up") == "ouchi up"


def test_long_arguments_are_shortened(records: list[Record]) -> None:
    LocalMachine().run(("true", "x" * 1000, "a\nb"))
    assert records[0].argv == ("true", "x" * 300 + "… (1000 characters)", "a\\nb")


# The command line


def run(*words: str, debug: str = "") -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "OUCHI_DEBUG"}
    env |= {"PYTHONPATH": str(SRC)} | ({"OUCHI_DEBUG": debug} if debug else {})
    argv = [sys.executable, "-m", "ouchi", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60, check=False)


def test_the_option_logs_on_stderr(tmp_path: Path) -> None:
    target = str(tmp_path / "host.tar.gz")
    silent, loud = run("inspect", "--save", target), run("--debug", "inspect", "--save", target)
    assert "debug:" not in silent.stderr
    assert loud.stdout.splitlines()[0] == silent.stdout.splitlines()[0]
    lines = [line for line in loud.stderr.splitlines() if line.startswith("debug: ")]
    assert any("local write " in line and target in line for line in lines), loud.stderr


def test_the_variable_names_a_file(tmp_path: Path) -> None:
    file, target = tmp_path / "debug.jsonl", str(tmp_path / "host.tar.gz")
    for _ in range(2):
        assert "debug:" not in run("inspect", "--save", target, debug=str(file)).stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [entry["action"] for entry in found].count("ouchi") == 2
    assert {"time", "host", "action", "argv", "seconds", "status"} <= found[-1].keys()
    assert any(entry["action"] == "write" and entry["argv"][0] == target for entry in found)


@pytest.mark.parametrize("value", ["1", "0"])
def test_numbers_turn_it_on_and_off(value: str) -> None:
    assert ("debug: " in run("inspect", debug=value).stderr) is (value == "1")


def test_a_file_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    ended = run("inspect", debug=str(tmp_path / "no-folder" / "file"))
    assert ended.returncode == 2
    assert "the command log cannot be written" in ended.stderr


def test_progress_moves_the_log_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert command_log.move_to_file() == ""
    with command_log.logging("", str(tmp_path / "secrets.json")):
        path = command_log.move_to_file()
        LocalMachine().run(("true",))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert json.loads(Path(path).read_text().splitlines()[-1])["argv"] == ["true"]


def test_passwords_of_an_earlier_run_are_known_from_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password = "correct horse battery staple"
    (tmp_path / "secrets.json").write_text(json.dumps({"admin": password}))
    with command_log.logging("", str(tmp_path / "secrets.json")):
        LocalMachine().run(("true", password))
    output = capsys.readouterr().err
    assert "true ***" in output
    assert password not in output


def test_json_lines_of_progress_are_not_mixed_with_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with command_log.logging("", str(tmp_path / "secrets.json")), timeline_of(as_json=True):
        LocalMachine().run(("true",))
    (event,) = capsys.readouterr().err.splitlines()
    (path,) = tmp_path.glob("ouchi-debug-*.jsonl")
    assert (json.loads(event)["kind"], json.loads(event)["text"]) == ("note", str(path))
    assert [json.loads(line)["action"] for line in path.read_text().splitlines()] == ["ouchi", "run"]


def test_progress_on_a_terminal_is_not_mixed_with_the_log(tmp_path: Path) -> None:
    """On a real terminal: the path is shown, and nothing of the log."""
    program = (
        "from ouchi.machine.command_log import logging; from ouchi.cli.timeline import timeline_of; "
        "from ouchi.machine.local import LocalMachine\n"
        "with logging('', '/nonexistent'), timeline_of(as_json=False): LocalMachine().run(('echo', 'marker'))"
    )
    env = {**os.environ, "PYTHONPATH": str(SRC), "TMPDIR": str(tmp_path), "COLUMNS": "300", "TERM": "xterm"}
    ours, theirs = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", program], stdout=theirs, stderr=theirs, env=env, check=True, timeout=60)
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    (path,) = tmp_path.glob("ouchi-debug-*.jsonl")
    assert str(path) in shown
    assert "marker" not in shown
    assert "marker" in path.read_text()
