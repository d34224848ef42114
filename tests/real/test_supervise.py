"""The supervisor this machine has, in folders of its own: nothing here is imitated.

What both promise is tested with the one at hand, what only supervisord can meet with supervisord.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ouchi.core.errors import Failed
from ouchi.core.instance import MARK, Instance
from ouchi.machine.local import LocalMachine
from ouchi.machine.processes import SERVICE_MARK, end, marked
from ouchi.parts.supervise import Service, ServiceState, ServiceStatus, Supervisor
from ouchi.parts.supervise.choose import choose_supervisor
from ouchi.parts.supervise.supervisord import SupervisordSupervisor

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="starts services as other users")

REPORT = (
    "import json, os, sys, time; "
    "open(sys.argv[1], 'w').write(json.dumps([sys.argv[2:], dict(os.environ)])); time.sleep(98)"
)
"""A program that writes down what it was given."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield Instance(name, f"{tmp_path}/state 100%", f"{tmp_path}/run", f"{tmp_path}/logs 100%")
    end(name, polite_seconds=0)


@pytest.fixture
def supervisor(instance: Instance) -> Iterator[Supervisor]:
    chosen = choose_supervisor(LocalMachine(), instance)
    yield chosen
    chosen.shutdown()


@pytest.fixture
def supervisord(instance: Instance) -> SupervisordSupervisor:
    return SupervisordSupervisor(LocalMachine(), instance)


def sleeper(name: str, seconds: int = 98) -> Service:
    return Service(name, ("/bin/sleep", str(seconds)), stop_seconds=2)


def shell(name: str, script: str, *, group: bool = True) -> Service:
    return Service(name, ("/bin/sh", "-c", script), stop_seconds=1, group=group)


def eventually(probe: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def pid_of(supervisor: Supervisor, name: str) -> int:
    def state() -> ServiceState:
        return supervisor.states()[name]

    eventually(lambda: state().pid and state().status is ServiceStatus.RUNNING)
    return state().pid


def daemons(instance: Instance) -> list[int]:
    return [process.pid for process in marked(instance.name) if process.service == "supervisord"]


def services_in(instance: Instance) -> list[str]:
    return sorted(process.service for process in marked(instance.name) if process.service != "supervisord")


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_services_start_side_by_side_and_starting_again_does_nothing(
    supervisor: Supervisor, instance: Instance
) -> None:
    services = [sleeper("a"), sleeper("b"), sleeper("c")]
    assert supervisor.states() == {}
    began = time.monotonic()
    assert supervisor.start(services) == ["a", "b", "c"]
    assert time.monotonic() - began < 10
    assert supervisor.start(services) == []

    pids = {pid_of(supervisor, name) for name in "abc"}
    assert len(pids) == 3
    assert services_in(instance) == ["a", "b", "c"]
    assert all(state.restarts == 0 and state.uptime >= 0 for state in supervisor.states().values())
    assert supervisor.start(services) == []
    assert {pid_of(supervisor, name) for name in "abc"} == pids


def test_nobody_else_can_read_what_may_be_secret(supervisor: Supervisor, instance: Instance) -> None:
    supervisor.start([replace(shell("a", "echo hello; exec sleep 98"), environment={"X": "53cr3t"})])
    eventually(lambda: "hello" in Path(supervisor.log("a")).read_text())
    folders = (instance.state, instance.run, "/run/systemd/system")
    files = [path for top in folders for path in Path(top).rglob("*") if path.is_file()]
    secret = [path for path in files if b"53cr3t" in path.read_bytes()]
    assert [mode(path) for path in secret] == [0o600]
    assert [mode(path) for path in Path(instance.run).glob("*.sock")] in ([], [0o600])
    assert mode(instance.logs) == 0o750
    assert {mode(path) for path in Path(instance.logs).glob("*")} == {0o640}


def test_supervisord_has_a_session_and_an_environment_of_its_own(
    supervisord: SupervisordSupervisor, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PASSWORD", "of the caller")
    report = tmp_path / "report"
    supervisord.start([Service("a", (sys.executable, "-c", REPORT, str(report)))])
    eventually(lambda: report.exists() and report.stat().st_size)
    (daemon,) = daemons(instance)
    assert os.getsid(daemon) not in (os.getsid(0), os.getpid())
    _, environment = json.loads(report.read_text())
    assert "OS_PASSWORD" not in environment
    assert environment[MARK] == instance.name
    assert environment[SERVICE_MARK] == "a"


def test_arguments_and_environment_arrive_as_they_are(supervisor: Supervisor, tmp_path: Path) -> None:
    nasty = [
        "", " ", "two words", " ;comment", "a ;b #c", ";", "#", "%", "%%", "%d", "%(here)s", "%%(here)s", "%(ENV_PATH)s",
        "it's", '"', "'", "\\", "\\n", "$HOME", "${HOME}", "`id`", "$(id)", "a=b,c=d", "[x]", "\t", "おうち", "--x='y z'",
    ]  # fmt: skip
    values = [text for text in nasty if text == text.strip("'\"")] + ['one " quote', "one ' quote"]
    environment = {f"V{number}": value for number, value in enumerate(values)}
    report = tmp_path / "report"
    argv = (sys.executable, "-c", REPORT, str(report), *nasty)
    assert supervisor.start([Service("a", argv, environment)]) == ["a"]
    eventually(lambda: report.exists() and report.stat().st_size)
    arguments, variables = json.loads(report.read_text())
    assert arguments == nasty
    assert {name: variables[name] for name in environment} == environment


def test_a_service_runs_as_its_user(supervisor: Supervisor) -> None:
    supervisor.start([replace(shell("a", "id -un; exec sleep 98"), user="mysql")])
    eventually(lambda: Path(supervisor.log("a")).read_text() == "mysql\n")


def test_a_killed_service_comes_back_and_is_counted(supervisor: Supervisor) -> None:
    supervisor.start([sleeper("a"), sleeper("b")])
    first, other = pid_of(supervisor, "a"), pid_of(supervisor, "b")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: supervisor.states()["a"].pid not in (0, first))
    second = pid_of(supervisor, "a")
    state = supervisor.states()["a"]
    assert second != first
    assert state.restarts == 1
    assert "SIGKILL" in state.detail or supervisor.kind == "systemd"
    assert pid_of(supervisor, "b") == other
    assert supervisor.states()["b"].restarts == 0

    supervisor.restart("a")  # asked for: it does not count
    assert pid_of(supervisor, "a") != second
    assert supervisor.states()["a"].restarts == 0


def test_a_changed_definition_restarts_only_that_service(supervisor: Supervisor, instance: Instance) -> None:
    supervisor.start([sleeper("a"), sleeper("b"), sleeper("c")])
    before = {name: pid_of(supervisor, name) for name in "abc"}
    changed = [sleeper("a"), sleeper("b", 97), replace(sleeper("c"), environment={"X": "1"})]
    assert supervisor.start(changed) == ["b", "c"]
    after = {name: pid_of(supervisor, name) for name in "abc"}
    assert after["a"] == before["a"]
    assert after["b"] != before["b"]
    assert after["c"] != before["c"]
    assert Path(f"/proc/{after['b']}/cmdline").read_bytes() == b"/bin/sleep\x0097\0"
    assert services_in(instance) == ["a", "b", "c"]


def test_a_start_that_was_killed_half_way_is_continued(supervisord: SupervisordSupervisor, instance: Instance) -> None:
    supervisord.start([sleeper("a")])
    first = pid_of(supervisord, "a")
    # As a run leaves it that was killed between writing a definition and applying it.
    path = Path(instance.state, "supervisor", "a.ini")
    path.write_text(path.read_text().replace("sleep 98", "sleep 96"))
    assert supervisord.start([sleeper("a", 96)]) == ["a"]
    assert pid_of(supervisord, "a") != first
    assert services_in(instance) == ["a"]


def test_services_stop_side_by_side_and_start_again(supervisor: Supervisor, instance: Instance) -> None:
    stubborn = [replace(shell(name, "trap '' TERM; while :; do sleep 1; done"), stop_seconds=2) for name in "abcd"]
    supervisor.start([*stubborn, sleeper("e")])
    for name in "abcde":
        pid_of(supervisor, name)
    began = time.monotonic()
    supervisor.stop(["a", "b", "c", "d", "nobody-knows-this"])
    assert 1.5 < time.monotonic() - began < 7.5, "four times two seconds would be eight"
    assert services_in(instance) == ["e"]
    assert [state.status for _, state in sorted(supervisor.states().items())] == [ServiceStatus.STOPPED] * 4 + [
        ServiceStatus.RUNNING
    ]
    assert supervisor.start([*stubborn, sleeper("e")]) == ["a", "b", "c", "d"]


def test_a_stop_takes_the_group_along_or_spares_it(supervisor: Supervisor, instance: Instance) -> None:
    script = "setsid sleep 95 & sleep 94 & wait"
    supervisor.start([shell("whole", script), shell("single", script, group=False)])
    for name in ("whole", "single"):
        pid_of(supervisor, name)
    assert services_in(instance) == ["single"] * 3 + ["whole"] * 3
    supervisor.stop(["whole", "single"])
    assert services_in(instance) == ["single"] * 2
    supervisor.shutdown()
    assert marked(instance.name) == []


@pytest.mark.parametrize(
    "program", [["sleep", "93"], ["su", "root", "-c", "sleep 93"]], ids=["sleep", "setuid program"]
)
def test_marks_of_other_users_count_for_nothing(instance: Instance, program: list[str]) -> None:
    """Anybody can put them into an environment, and a setuid program keeps it."""
    environment = {"PATH": "/usr/bin:/bin", MARK: instance.name, SERVICE_MARK: "keystone-api"}
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *program]
    with subprocess.Popen(nobody, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        eventually(lambda: Path(f"/proc/{other.pid}/comm").read_text().strip() == program[0])
        try:
            assert marked(instance.name) == []
            assert end(instance.name, polite_seconds=1) == []
            assert other.poll() is None
        finally:
            other.kill()


def test_a_service_whose_needs_come_up_late_comes_back(supervisor: Supervisor, tmp_path: Path) -> None:
    needed = tmp_path / "needed"
    supervisor.start([shell("a", f"test -e {needed} || exit 1; exec sleep 98")])
    eventually(lambda: supervisor.states()["a"].restarts >= 1)
    assert supervisor.states()["a"].status is ServiceStatus.STARTING
    assert "exit" in supervisor.states()["a"].detail
    needed.touch()
    assert pid_of(supervisor, "a")


def test_shutdown_leaves_nothing_but_logs(supervisor: Supervisor, instance: Instance) -> None:
    supervisor.start([sleeper("a"), shell("b", "setsid sleep 95 & exec sleep 94")])
    pid_of(supervisor, "b")
    supervisor.shutdown()
    assert marked(instance.name) == []
    left = {path.name for folder in (instance.state, instance.run) for path in Path(folder).glob("*")}
    assert left == set()
    assert {"a.log", "b.log"} <= set(os.listdir(instance.logs)) <= {"a.log", "b.log", "supervisord.log"}
    assert not list(Path("/run/systemd/system").glob(f"{instance.name}*"))
    if supervisor.kind == "systemd":
        command = ["systemctl", "list-units", "--all", "--no-legend", f"{instance.name}*"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
    assert supervisor.states() == {}
    supervisor.shutdown()
    assert supervisor.start([sleeper("a")]) == ["a"]


def test_a_killed_supervisord_is_replaced_and_its_orphans_are_not_doubled(
    supervisord: SupervisordSupervisor, instance: Instance
) -> None:
    services = [sleeper("a"), shell("b", "setsid sleep 95 & exec sleep 94")]
    supervisord.start(services)
    before = {pid_of(supervisord, name) for name in "ab"}
    # Neither mark alone makes a process ours.
    half = [{MARK: instance.name}, {SERVICE_MARK: "a", MARK: "another"}, {SERVICE_MARK: "a"}]
    bystanders = [subprocess.Popen(["/bin/sleep", "93"], env=marks) for marks in half]
    try:
        (daemon,) = daemons(instance)
        os.kill(daemon, signal.SIGKILL)
        eventually(lambda: not daemons(instance))
        assert services_in(instance) == ["a", "b", "b"], "the services live on"
        assert supervisord.states() == {}

        assert supervisord.start(services) == ["a", "b"]
        assert before.isdisjoint({pid_of(supervisord, name) for name in "ab"})
        assert services_in(instance) == ["a", "b", "b"]
        assert len(daemons(instance)) == 1

        os.kill(daemons(instance)[0], signal.SIGKILL)
        supervisord.shutdown()
        assert marked(instance.name) == []
        assert [bystander.poll() for bystander in bystanders] == [None] * 3
    finally:
        for bystander in bystanders:
            bystander.kill()
            bystander.wait()


def test_a_supervisord_that_hangs_does_not_hang_us(supervisord: SupervisordSupervisor, instance: Instance) -> None:
    supervisord.start([sleeper("a")])
    pid_of(supervisord, "a")
    (daemon,) = daemons(instance)
    os.kill(daemon, signal.SIGSTOP)
    began = time.monotonic()
    supervisord.shutdown()
    assert time.monotonic() - began < 20
    assert marked(instance.name) == []


def test_starts_in_several_threads_share_one_supervisord(
    supervisord: SupervisordSupervisor, instance: Instance
) -> None:
    started: list[str] = []
    threads = [
        threading.Thread(target=lambda name=name: started.extend(supervisord.start([sleeper(name)]))) for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(started) == list("abcd")
    eventually(lambda: services_in(instance) == list("abcd"))
    assert len(daemons(instance)) == 1


def test_what_cannot_run_is_refused_at_once_and_nothing_starts(
    supervisord: SupervisordSupervisor, instance: Instance
) -> None:
    bad = [
        Service("no such", ("/no/such/program",), user="nosuchuser"),
        Service("b", ("/bin/sleep", "1\n2"), {"A B": "x", "C": "two\nlines"}),
        sleeper("c"),
        sleeper("c"),
    ]
    with pytest.raises(Failed) as failure:
        supervisord.start(bad)
    assert len(failure.value.findings) == 8
    with pytest.raises(Failed, match="both kinds of quotes"):
        supervisord.start([Service("b", ("/bin/true",), {"A": "'secret\"s"})])
    with pytest.raises(Failed, match="no such service"):
        supervisord.restart("b")
    assert marked(instance.name) == []
    assert not os.path.exists(instance.state)


def test_this_machine_gets_the_supervisor_it_has(instance: Instance) -> None:
    expected = "systemd" if Path("/proc/1/comm").read_text() == "systemd\n" else "supervisor"
    assert choose_supervisor(LocalMachine(), instance).kind == expected
