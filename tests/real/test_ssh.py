"""A host by ssh does what this machine does: a real sshd, real programs, and what goes wrong on the way."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sshd import SOURCE, SUDOER, USER, Sshd, children, free_port

from ouchi.cli.hosted import Hosted
from ouchi.errors import BadInput, Interrupted, OuchiError
from ouchi.facts import collect
from ouchi.machine import CommandFailed, Machine, Status
from ouchi.machine.gather import gather
from ouchi.machine.local import LocalMachine
from ouchi.machine.ssh import SshMachine
from ouchi.machine.unreachable import ConnectionLost, Unreachable

if os.geteuid() != 0:
    pytest.skip("sshd needs root", allow_module_level=True)

ODD = ["plain", "two words", "line\nbreak", "quote'\"", "-n", "$(touch x)`y`", "ümläut", "a\\b", "*", "tab\there"]
CONTENTS = [b"", b"a", b"text\n", b"\0", b"\0\xff\r\n'\"$x\n\0", bytes(range(256)) * 4096, b"no end of line"]


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with Sshd() as found:
        yield found


@pytest.fixture
def remote(server: Sshd) -> Iterator[SshMachine]:
    with SshMachine(server.address, server.config) as machine:
        yield machine


@pytest.fixture(params=["local", "ssh"])
def machine(request: pytest.FixtureRequest, server: Sshd) -> Iterator[Machine]:
    if request.param == "local":
        yield LocalMachine()
        return
    with SshMachine(server.address, server.config) as found:
        yield found


def outcome(do: Callable[[], object]) -> object:
    """What a call gives, or the kind of its error."""
    try:
        return do()
    except OSError as reason:
        return errno.errorcode[reason.errno or 0]


class TestFiles:
    @pytest.mark.parametrize("name", ODD)
    def test_any_name(self, machine: Machine, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        machine.write(path, "text", mode=0o640)
        assert path.read_text() == "text"
        assert (machine.read(path), machine.exists(path), machine.mode(path)) == ("text", True, 0o640)
        assert machine.entries(tmp_path) == [name]
        assert machine.status(path) == Status("file", 0o640, 0, 0)
        machine.append(path, f" and {name}")
        assert path.read_text() == f"text and {name}"
        machine.make_link(tmp_path / "link", name)
        assert os.readlink(tmp_path / "link") == name
        assert machine.status(tmp_path / "link") == Status("link", 0o777, 0, 0, name)
        assert machine.link(tmp_path / "link") == name
        machine.remove(path)
        assert not path.exists()
        assert machine.status(path) is None

    @pytest.mark.parametrize("content", CONTENTS, ids=lambda content: f"{len(content)} bytes")
    def test_any_content(self, machine: Machine, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "file"
        machine.write(path, content, mode=0o600)
        assert path.read_bytes() == content
        assert machine.read_bytes(path) == content
        assert machine.read_bytes(path, 3) == content[:3]
        assert machine.read(path) == content.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        assert sorted(os.listdir(tmp_path)) == ["file"]

    def test_mode_and_owner(self, machine: Machine, tmp_path: Path) -> None:
        machine.write(tmp_path / "file", "x", mode=0o750, owner="daemon")
        assert machine.status(tmp_path / "file") == Status("file", 0o750, 1, 1)
        with pytest.raises(LookupError):
            machine.write(tmp_path / "file", "y", owner="nobody-of-that-name")
        assert (tmp_path / "file").read_text() == "x"
        assert os.listdir(tmp_path) == ["file"]

    def test_writing_keeps_the_link_s_target(self, machine: Machine, tmp_path: Path) -> None:
        (tmp_path / "real").write_text("kept")
        (tmp_path / "link").symlink_to("real")
        machine.write(tmp_path / "link", "new")
        assert (tmp_path / "real").read_text() == "kept"
        assert not (tmp_path / "link").is_symlink()

    def test_folders(self, machine: Machine, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b b"
        assert machine.make_folder(folder, mode=0o750, owner="daemon") is True
        assert machine.make_folder(folder, mode=0o700) is False
        assert machine.status(folder) == Status("folder", 0o700, 1, 1)
        assert machine.status(tmp_path / "a") == Status("folder", 0o755, 0, 0)
        (folder / "file").write_text("x")
        (tmp_path / "link").symlink_to(folder)
        assert machine.entries(tmp_path / "link") == ["file"]
        machine.remove(tmp_path / "link")
        assert (folder / "file").exists()
        machine.remove(tmp_path / "a")
        machine.remove(tmp_path / "a")
        assert os.listdir(tmp_path) == []

    def test_links(self, machine: Machine, tmp_path: Path) -> None:
        for target in ("/nowhere", "up/../x", " \n", "-s"):
            machine.make_link(tmp_path / "link", target)
            assert os.readlink(tmp_path / "link") == target
        assert os.listdir(tmp_path) == ["link"]
        (tmp_path / "folder").mkdir()
        assert outcome(lambda: machine.make_link(tmp_path / "folder", "x")) == "EISDIR"
        assert sorted(os.listdir(tmp_path)) == ["folder", "link"]

    def test_other_kinds(self, machine: Machine, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        assert machine.status(tmp_path / "pipe") == Status("other", 0o600, 0, 0)
        assert machine.status("/") is not None
        assert machine.status("/etc/passwd/x") is None

    def test_kernel_files(self, machine: Machine) -> None:
        path = "/proc/sys/kernel/domainname"
        before = Path(path).read_text().strip()
        machine.poke(path, "ouchi.test")
        try:
            assert machine.read(path) == "ouchi.test\n"
        finally:
            machine.poke(path, before)
        assert outcome(lambda: machine.poke("/proc/sys/vm/nr_hugepages", "x")) == "EINVAL"

    @pytest.mark.parametrize(
        ("do", "expected"),
        [
            (lambda m, p: m.read(p / "none"), "ENOENT"),
            (lambda m, p: m.read(p), "EISDIR"),
            (lambda m, p: m.read_bytes(p / "none", 5), "ENOENT"),
            (lambda m, _: m.read("/etc/passwd/x"), "ENOTDIR"),
            (lambda m, p: m.mode(p / "none"), "ENOENT"),
            (lambda m, p: m.write(p / "none" / "x", "x"), "ENOENT"),
            (lambda m, p: m.write(p, "x"), "EISDIR"),
            (lambda m, p: m.append(p / "none" / "x", "x"), "ENOENT"),
            (lambda m, p: m.append(p, "x"), "EISDIR"),
            (lambda m, _: m.make_folder("/etc/passwd"), "EEXIST"),
            (lambda m, _: m.make_folder("/etc/passwd/x"), "ENOTDIR"),
            (lambda m, p: m.make_link(p / "none" / "x", "x"), "ENOENT"),
            (lambda m, p: m.entries(p / "none"), []),
            (lambda m, _: m.entries("/etc/passwd"), []),
            (lambda m, p: m.link(p / "none"), ""),
            (lambda m, p: m.link(p), ""),
            (lambda m, p: m.exists(p / "none"), False),
        ],
    )
    def test_errors_are_the_same(
        self, machine: Machine, tmp_path: Path, do: Callable[[Machine, Path], object], expected: object
    ) -> None:
        assert outcome(lambda: do(machine, tmp_path)) == expected


class TestPrograms:
    @pytest.mark.parametrize("word", [*ODD, "", "\x01\x7f", "é" * 1000, "x" * 100_000])
    def test_any_word(self, machine: Machine, word: str) -> None:
        assert machine.run(("printf", "%s|", word, "end")).stdout == f"{word}|end|"

    def test_a_word_with_a_zero(self, machine: Machine) -> None:
        with pytest.raises(ValueError, match="null"):
            machine.run(("echo", "a\0b"))

    @pytest.mark.parametrize("size", [0, 1, 65_536, 1 << 20])
    def test_input(self, machine: Machine, size: int) -> None:
        text = "é\n" * (size // 3)
        assert machine.run(("cat",), input=text).stdout == text

    def test_input_that_nobody_reads(self, machine: Machine) -> None:
        assert machine.run(("true",), input="x" * (1 << 20)).ok
        assert machine.run(("cat",)).stdout == ""

    def test_status_and_both_outputs(self, machine: Machine) -> None:
        result = machine.run(("sh", "-c", "echo out; echo err >&2; exit 7"), check=False)
        assert (result.status, result.stdout, result.stderr) == (7, "out\n", "err\n")
        with pytest.raises(CommandFailed, match="exit status 7: err"):
            machine.run(("sh", "-c", "echo err >&2; exit 7"))

    @pytest.mark.parametrize("outlive", [False, True])
    def test_a_signal_is_no_exit_status(self, machine: Machine, outlive: bool) -> None:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGHUP):
            result = machine.run(("sh", "-c", f"kill -{number} $$"), check=False, outlive=outlive)
            assert (result.status, result.stderr) == (-number, "")
        for status in (1, 126, 127, 128, 130, 137, 141, 159, 255):
            assert machine.run(("sh", "-c", f"exit {status}"), check=False, outlive=outlive).status == status

    def test_environment_and_folder(self, machine: Machine, tmp_path: Path) -> None:
        env = {"ONE": "a 'b'\n$c", "TWO": ""}
        said = machine.run(("sh", "-c", 'printf "%s|%s|%s|" "$ONE" "$TWO" "$LC_ALL"; pwd'), env=env, cwd=tmp_path)
        assert said.stdout == f"a 'b'\n$c||C.UTF-8|{tmp_path}\n"

    def test_no_such_program(self, machine: Machine, tmp_path: Path) -> None:
        (tmp_path / "no-program").write_text("x")
        for name in ("no-such-program", "/no/such", str(tmp_path / "no-program"), str(tmp_path)):
            with pytest.raises(CommandFailed, match="no such program"):
                machine.run((name,), check=False)
        with pytest.raises(CommandFailed):
            machine.run(("true",), cwd=tmp_path / "none")

    def test_a_program_that_the_shell_has_built_in(self, machine: Machine) -> None:
        assert "coreutils" in machine.run(("echo", "--version")).stdout

    def test_a_lot_of_output(self, machine: Machine) -> None:
        assert len(machine.run(("head", "-c", "10000000", "/dev/zero")).stdout) == 10_000_000

    def test_timeout_ends_the_program_and_what_it_started(self, machine: Machine) -> None:
        begin = time.monotonic()
        with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
            machine.run(("sh", "-c", "sleep 471.25 & sleep 471.5; true"), timeout=0.5)
        assert time.monotonic() - begin < 4
        assert_gone("471.")

    def test_timeout_does_not_wait_for_what_left_the_group(self, machine: Machine) -> None:
        begin = time.monotonic()
        with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
            machine.run(("sh", "-c", "echo said; setsid sleep 20.25 & sleep 20.5"), timeout=0.5)
        assert time.monotonic() - begin < 6
        for pid in running("sleep\x0020.25"):
            os.kill(pid, signal.SIGKILL)

    def test_interrupt(self, machine: Machine, tmp_path: Path) -> None:
        threading.Timer(0.5, machine.interrupt).start()
        begin = time.monotonic()
        with pytest.raises((Interrupted, CommandFailed)):
            machine.run(("sleep", "472"), timeout=60)
        assert time.monotonic() - begin < 5
        assert_gone("sleep\x00472")
        with pytest.raises(Interrupted):
            machine.run(("true",))
        machine.write(tmp_path / "noted", "what was done")
        assert machine.read(tmp_path / "noted") == "what was done"

    def test_interrupt_while_a_host_restarts(self, server: Sshd) -> None:
        """It comes back over new connections; here it never goes down, or nobody answers."""
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for address in (server.address, f"root@127.0.0.1:{free_port()}"):
            host = Hosted("h", address, "", None, SshMachine(address, server.config))
            threading.Timer(1.0, host.interrupt).start()
            begin = time.monotonic()
            with pytest.raises(Interrupted):
                host.back(boot_id)
            assert time.monotonic() - begin < 6
        assert_gone(server.config)

    def test_interrupt_while_a_lock_is_awaited(self, server: Sshd, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "lock")  # opening it takes for ever
        with SshMachine(server.address, server.config) as machine:
            machine.connection.login()
            threading.Timer(0.5, machine.interrupt).start()
            begin = time.monotonic()
            with pytest.raises(Interrupted), machine.hold(tmp_path / "lock", "x"):
                pass
            assert time.monotonic() - begin < 6
            with pytest.raises(Interrupted), machine.hold(tmp_path / "other", "x"):
                pass

    def test_what_may_outlive_us(self, machine: Machine, tmp_path: Path) -> None:
        said = machine.run(("sh", "-c", "echo out; echo err >&2; exit 3"), outlive=True, check=False)
        assert (said.status, said.stdout, said.stderr) == (3, "out\n", "err\n")


def running(words: str) -> list[int]:
    """The processes with these words in their command line, zeros between them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words in path.read_bytes().decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def assert_gone(words: str, seconds: float = 4) -> None:
    deadline = time.monotonic() + seconds
    while (left := running(words)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


class TestLock:
    def test_each_excludes_the_other(self, remote: SshMachine, tmp_path: Path) -> None:
        local, path = LocalMachine(), tmp_path / "made" / "it's a lock"
        for first, second in ((local, remote), (remote, local), (remote, remote)):
            with first.hold(path, "first"):
                with (
                    pytest.raises(BadInput, match=r"ouchi first, process [0-9]+") as caught,
                    second.hold(path, "second"),
                ):
                    pytest.fail("both have it")
                assert caught.value.findings[0].claim == "another ouchi is changing this machine"
            with second.hold(path, "second"):
                pass
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_link_is_not_followed(self, machine: Machine, tmp_path: Path) -> None:
        """Everybody may put one into /run/lock; what it leads to would be emptied."""
        (tmp_path / "other").write_text("content")
        (tmp_path / "lock").symlink_to("other")
        with pytest.raises((BadInput, OSError), match="Too many levels"), machine.hold(tmp_path / "lock", "x"):
            pass
        assert (tmp_path / "other").read_text() == "content"

    def test_status_knows_who_holds_it(self, remote: SshMachine, tmp_path: Path) -> None:
        from ouchi.status import under_way

        path = str(tmp_path / "lock")
        with remote.hold(path, "apply"):
            assert under_way(LocalMachine(), path).startswith("ouchi apply, process ")
        assert under_way(LocalMachine(), path) == ""

    def test_it_goes_with_us(self, server: Sshd, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        holder = (
            "import sys; from ouchi.machine.ssh import SshMachine\n"
            "with SshMachine(*sys.argv[1:3]).hold(sys.argv[3], 'holding'): print('held', flush=True); sys.stdin.read()"
        )
        words = [sys.executable, "-c", holder, server.address, server.config, str(path)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
            assert process.stdout
            assert process.stdout.readline() == b"held\n"
            with pytest.raises(BadInput), LocalMachine().hold(path, "other"):
                pass
            process.kill()
        assert_lockable(path)
        assert_gone(server.config)  # the master too, and the folder of its socket

    @pytest.mark.parametrize("user", ["root", SUDOER])
    def test_it_goes_when_we_fall_silent(
        self, server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
    ) -> None:
        """As with a power cut here: the connection stands for the other side, but nobody says anything any more."""
        monkeypatch.setattr("ouchi.machine.connection.BEAT_SECONDS", (0.5, 2.0))
        path = tmp_path / "lock"
        with (
            SshMachine(server.address.replace("root", user), server.config) as machine,
            machine.hold(path, "holding"),
        ):
            machine.run(("sleep", "3"))
            with pytest.raises(BadInput), LocalMachine().hold(path, "other"):
                pass
            assert machine.connection._master
            os.killpg(machine.connection._master.pid, signal.SIGSTOP)
            try:
                assert_lockable(path)
            finally:
                os.killpg(machine.connection._master.pid, signal.SIGCONT)
            with pytest.raises(ConnectionLost):
                machine.run(("true",))
        assert_gone(server.config)

    def test_where_there_can_be_none(self, remote: SshMachine) -> None:
        with pytest.raises(OSError, match="No such file"), remote.hold("/proc/none/lock", "x"):
            pass


def assert_lockable(path: Path) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            with LocalMachine().hold(path, "other"):
                return
        except BadInput:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), **more}


class TestConnection:
    def test_nobody_listens(self, server: Sshd) -> None:
        with SshMachine(f"127.0.0.1:{free_port()}", server.config) as machine, pytest.raises(Unreachable) as caught:
            machine.read("/etc/passwd")
        (finding,) = caught.value.findings
        assert "Connection refused" in finding.found
        assert finding.where.startswith("127.0.0.1:")
        assert finding.remedy.startswith("ssh -F ")
        assert caught.value.status == 2

    def test_no_such_host(self, server: Sshd) -> None:
        with SshMachine("no-such-host.invalid", server.config) as machine, pytest.raises(Unreachable, match="resolve"):
            machine.run(("true",))

    def test_a_key_that_is_not_known(self, server: Sshd, tmp_path: Path) -> None:
        config = server.client_config(tmp_path / "none-known")
        with SshMachine(server.address, config) as machine, pytest.raises(Unreachable) as caught:
            machine.run(("true",))
        (finding,) = caught.value.findings
        assert finding.claim == f"the host key of {server.address} is not known"
        assert not (tmp_path / "none-known").exists()

    def test_another_key_than_before(self, server: Sshd, tmp_path: Path) -> None:
        known = tmp_path / "changed"
        server.knows(known, server.port)
        other = (server.folder / "user.pub").read_text().split()[1]
        words = known.read_text().split()
        known.write_text(f"{words[0]} {words[1]} {other}\n")
        with SshMachine(server.address, server.client_config(known)) as machine, pytest.raises(Unreachable) as caught:
            machine.run(("true",))
        (finding,) = caught.value.findings
        assert "shows another host key than before" in finding.claim
        assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in finding.remedy

    def test_a_key_that_does_not_let_us_in(self, server: Sshd) -> None:
        config = server.client_config(server.folder / "known_hosts", "host")
        with SshMachine(server.address, config) as machine, pytest.raises(Unreachable) as caught:
            machine.run(("true",))
        (finding,) = caught.value.findings
        assert "does not let us in" in finding.claim
        assert "Permission denied" in finding.found

    def test_a_server_that_says_nothing(self, server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ouchi.machine.connection.LOGIN_SECONDS", 1.0)
        import socket

        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            with SshMachine(address, server.config) as machine, pytest.raises(Unreachable, match="no answer within"):
                machine.read("/etc/passwd")
        assert_gone(server.config)

    def test_it_is_cut_while_something_runs(self, server: Sshd) -> None:
        with SshMachine(server.address, server.config) as machine:
            machine.connection.login()
            threading.Timer(0.5, cut, [server]).start()
            begin = time.monotonic()
            with pytest.raises(ConnectionLost) as caught:
                machine.run(("sleep", "473"), timeout=60)
            assert time.monotonic() - begin < 5
            assert caught.value.status == 3
            assert_gone("sleep\x00473")
            for _ in range(2):  # and it stays lost: a lock that was held is not held any more
                with pytest.raises(ConnectionLost):
                    machine.read("/etc/passwd")

    def test_it_is_cut_while_a_file_is_written(self, server: Sshd, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"before")
        content = os.urandom(1 << 20) * 64
        with SshMachine(server.address, server.config) as machine:
            machine.connection.login()
            threading.Timer(0.05, cut, [server]).start()
            with pytest.raises((ConnectionLost, OSError)):
                write_until_it_fails(machine, path, content)
        time.sleep(0.5)
        assert path.read_bytes() in (b"before", content)
        assert os.listdir(tmp_path) == ["file"]

    def test_what_the_user_s_configuration_asks_for_logins(self, server: Sshd, tmp_path: Path) -> None:
        config = tmp_path / "config"
        for line in ("StdinNull yes", "SessionType none", "RemoteCommand tmux\nRequestTTY force", "LogLevel DEBUG"):
            config.write_text(f"{line}\n{Path(server.config).read_text()}")
            with SshMachine(server.address, str(config)) as machine:
                result = machine.run(("sh", "-c", "cat; echo err >&2"), input="x")
                assert (result.stdout, result.stderr) == ("x", "err\n"), line

    def test_by_way_of_another_host(self, server: Sshd, tmp_path: Path) -> None:
        with Sshd() as jump:
            config = one_config([server, jump], tmp_path / "config")
            with Path(config).open("a") as file:
                file.write("Host h0\n  ProxyJump h1\n")
            with SshMachine("h0", config) as machine:
                assert machine.run(("cat",), input="x").stdout == "x"
                assert jump.sessions()
            assert_gone(config)

    def test_an_ipv6_address(self, tmp_path: Path) -> None:
        with Sshd("ListenAddress ::1") as server:
            known = server.folder / "known_hosts"
            known.write_text(known.read_text().replace("127.0.0.1", "::1"))
            with SshMachine(f"root@[::1]:{server.port}", server.config) as machine:
                assert machine.run(("cat",), input="x").stdout == "x"
                assert machine.probe("session") == "::1"

    def test_nothing_stays(self, server: Sshd) -> None:
        with SshMachine(server.address, server.config) as machine:
            machine.run(("true",))
            folder = Path(machine.connection._folder)
            assert folder.stat().st_mode & 0o777 == 0o700
            assert running(server.config)
        assert_gone(server.config)
        assert not folder.exists()
        deadline = time.monotonic() + 3
        while server.sessions() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.sessions()

    def test_nothing_stays_of_one_that_is_killed(self, server: Sshd, tmp_path: Path) -> None:
        code = (
            "import sys; from ouchi.machine.ssh import SshMachine\n"
            "SshMachine(*sys.argv[1:3]).run(('sleep', '474.5'), timeout=90)"
        )
        env = environment(XDG_RUNTIME_DIR=str(tmp_path))
        with subprocess.Popen([sys.executable, "-c", code, server.address, server.config], env=env) as process:
            deadline = time.monotonic() + 10
            while not running("sleep\x00474.5") and time.monotonic() < deadline:
                time.sleep(0.05)
            assert running("sleep\x00474.5")
            process.kill()
        assert_gone("474.5")
        assert_gone(server.config)
        assert os.listdir(tmp_path) == []


def write_until_it_fails(machine: Machine, path: Path, content: bytes) -> None:
    for _ in range(100):
        machine.write(path, content)


def cut(server: Sshd) -> None:
    """End every connection at the server, as the loss of the network does."""
    for pid in server.sessions():
        for each in (*children(pid), pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)


class TestUsers:
    def test_sudo_makes_root(self, server: Sshd, tmp_path: Path) -> None:
        with SshMachine(server.address.replace("root", SUDOER), server.config) as machine:
            assert machine.run(("id", "-u")).stdout == "0\n"
            machine.write(tmp_path / "file", "x", mode=0o600)
            assert (tmp_path / "file").stat().st_uid == 0
            assert machine.read("/etc/shadow")
            assert machine.run(("cat",), input="x" * 100_000).stdout == "x" * 100_000
            with (
                machine.hold(tmp_path / "lock", "x"),
                pytest.raises(BadInput),
                LocalMachine().hold(tmp_path / "lock", "y"),
            ):
                pass
            with pytest.raises(CommandFailed, match="did not end"):
                machine.run(("sleep", "475.5"), timeout=0.5)
        assert_gone("475.5")
        assert_gone(server.config)

    def test_without_sudo_there_is_only_looking(self, server: Sshd, tmp_path: Path) -> None:
        with SshMachine(server.address.replace("root", USER), server.config) as machine:
            assert "root:" in machine.read("/etc/passwd")
            assert outcome(lambda: machine.read("/etc/shadow")) == "EACCES"
            facts = collect(gather(machine))
            assert facts.cpus == collect(LocalMachine()).cpus
            for change in (lambda: machine.write(tmp_path / "x", "x"), lambda: machine.run(("true",))):
                with pytest.raises(Unreachable) as caught:
                    change()
                (finding,) = caught.value.findings
                assert finding.claim.startswith("root is needed on ouchi-tester@")
                assert "user id 64321" in finding.found
                assert "sudo" in finding.found


class TestLoginShells:
    def test_what_one_says_to_everybody_is_not_the_program_s(self, tmp_path: Path) -> None:
        with Sshd() as greeting:
            (greeting.folder / ".bashrc").write_text("echo welcome; printf 'to all of you' >&2\n")
            greeting.has_shell("root", "/bin/bash")
            with SshMachine(greeting.address, greeting.config) as machine:
                said = machine.run(("sh", "-c", "echo out; echo err >&2"))
                assert (said.stdout, said.stderr) == ("out\n", "err\n")
                machine.write(tmp_path / "file", "text")
                assert machine.read(tmp_path / "file") == "text"
                assert machine.make_folder(tmp_path) is False
                assert collect(gather(machine)).cpus == collect(LocalMachine()).cpus
                with (
                    machine.hold(tmp_path / "lock", "x"),
                    pytest.raises(BadInput, match="ouchi x, process"),
                    machine.hold(tmp_path / "lock", "y"),
                ):
                    pass

    @pytest.mark.parametrize(
        ("shell", "said"),
        [("/usr/sbin/nologin", "This account is currently not available"), ("/bin/false", "exit status 1")],
    )
    def test_one_that_lets_nobody_work(self, shell: str, said: str) -> None:
        with Sshd() as closed:
            closed.has_shell("root", shell)
            with SshMachine(closed.address, closed.config) as machine, pytest.raises(Unreachable, match=said):
                machine.read("/etc/passwd")


class TestLimits:
    """Hosts that allow less than they might, or have no room."""

    def test_few_sessions(self, tmp_path: Path) -> None:
        with Sshd("MaxSessions 2") as few, SshMachine(few.address, few.config) as machine:
            assert machine.read("/etc/passwd")
            with machine.hold(tmp_path / "lock", "x"), pytest.raises(OuchiError) as caught:
                machine.run(("true",))
            assert caught.value.findings[0].claim == f"{few.address} allows too few sessions over one connection"
            assert "MaxSessions" in caught.value.findings[0].remedy

    def test_sudo_for_a_few_programs_only(self, tmp_path: Path) -> None:
        with Sshd() as server:
            (server.folder / "sudoers").write_text(f"{SUDOER} ALL=(ALL) NOPASSWD: /bin/true, /usr/bin/true\n")
            with SshMachine(server.address.replace("root", SUDOER), server.config) as machine:
                assert machine.read("/etc/passwd")
                with pytest.raises(Unreachable, match="a password is required"):
                    machine.write(tmp_path / "file", "x")

    def test_a_full_disk(self, tmp_path: Path) -> None:
        with Sshd() as full, SshMachine(full.address, full.config) as machine:
            # This sshd has mounts of its own, so nobody else sees them.
            for place in (tmp_path, "/dev/shm"):
                machine.run(("mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)))
            machine.write(tmp_path / "file", "x" * 50_000)
            assert outcome(lambda: machine.write(tmp_path / "file", "y" * 50_000)) == "ENOSPC"
            assert machine.read(tmp_path / "file") == "x" * 50_000
            assert outcome(lambda: machine.append(tmp_path / "file", "y" * 50_000)) == "ENOSPC"
            assert machine.entries(tmp_path) == ["file"]
            with pytest.raises(CommandFailed, match="no room for what it is to read"):
                machine.write(tmp_path / "file", "x" * 100_000)
            assert machine.entries("/dev/shm") == []


class TestFacts:
    def test_gathered_facts_are_those_that_are_read_here(self, remote: SshMachine) -> None:
        session = remote.probe("session")
        assert session == "127.0.0.1"
        there, here = (collect(reader, session).to_json() for reader in (gather(remote), LocalMachine()))
        for facts in (there, here):  # what changes from moment to moment
            facts["system"].pop("memory_available_kib")
            for node in facts["memory"]:
                node.pop("free_kib")
        assert there == here

    def test_file_by_file_they_are_the_same_too(self, remote: SshMachine) -> None:
        there, here = collect(remote), collect(LocalMachine())
        assert (there.cpus, there.l3, there.nics, there.dpdk, there.boot) == (
            here.cpus, here.l3, here.nics, here.dpdk, here.boot,
        )  # fmt: skip

    def test_the_probes(self, remote: SshMachine) -> None:
        local = LocalMachine()
        for name in ("ovs-version", "ethtool/lo", "ethtool/none", "ethtool/", "else", *(
            f"ethtool/{name}" for name in os.listdir("/sys/class/net")
        )):  # fmt: skip
            assert remote.probe(name) == local.probe(name), name


SITE = """\
name: lab
networks: [{name: left, vlan: 101, subnet: 10.101.0.0/24}]
servers: []
"""


def ouchi(server: Sshd, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ouchi", *words],
        cwd=folder, env=environment(OUCHI_SSH_CONFIG=server.config), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


class TestCommands:
    def test_inspect_by_address_takes_few_round_trips(self, server: Sshd, tmp_path: Path) -> None:
        before = server.log.read_text().count("Starting session: command")
        done = ouchi(server, tmp_path, "inspect", "--address", server.address, "--json")
        assert done.returncode == 0, done.stderr
        here = json.loads(ouchi(server, tmp_path, "inspect", "--json").stdout)
        there = json.loads(done.stdout)
        assert there["cpus"] == here["cpus"]
        assert there["system"]["hostname"] == here["system"]["hostname"]
        assert server.log.read_text().count("Starting session: command") - before == 2  # login, and all facts

    def test_a_saved_snapshot_plans_as_the_host_does(self, server: Sshd, tmp_path: Path) -> None:
        (tmp_path / "ouchi.yaml").write_text(f"address: {server.address}\n{SITE}")
        saved = ouchi(server, tmp_path, "inspect", "--save", "host.tar.gz")
        assert saved.returncode == 0, saved.stderr
        planned = ouchi(server, tmp_path, "plan", "--json")
        assert planned.returncode == 0, planned.stderr
        assert ouchi(server, tmp_path, "plan", "--json", "--snapshot", "host.tar.gz").stdout == planned.stdout

    def test_several_hosts_with_one_that_is_dead(self, server: Sshd, tmp_path: Path) -> None:
        dead = f"root@127.0.0.1:{free_port()}"
        hosts = f"hosts:\n- {{name: one, address: {server.address}}}\n- {{name: dead, address: '{dead}'}}\n- {{name: here}}\n"
        (tmp_path / "sites.yaml").write_text(SITE + hosts)
        for command in ("inspect", "plan"):
            done = ouchi(server, tmp_path, command, "--site", "sites.yaml")
            assert done.returncode == 2
            headings = [line for line in done.stdout.splitlines() if line.startswith("==> ")]
            assert headings == [
                f"==> one ({server.address}) <==", f"==> dead ({dead}) <==", "==> here (this machine) <==",
            ]  # fmt: skip
            assert done.stdout.splitlines()[-1] == "3 hosts: 1 of them not as asked"
            assert f"there is no connection to {dead}" in done.stderr
            told = json.loads(ouchi(server, tmp_path, command, "--site", "sites.yaml", "--json").stdout)
            assert [(host["name"], host["status"]) for host in told["hosts"]] == [("one", 0), ("dead", 2), ("here", 0)]
            assert told["hosts"][0]["result"]
            assert told["hosts"][1]["findings"][0]["claim"] == f"there is no connection to {dead}"
        chosen = ouchi(server, tmp_path, "plan", "--site", "sites.yaml", "--host", "one", "--json")
        assert json.loads(chosen.stdout)["name"]
        assert_gone(server.config)

    def test_up_refuses_another_machine(self, server: Sshd, tmp_path: Path) -> None:
        (tmp_path / "ouchi.yaml").write_text(f"address: {server.address}\n{SITE}")
        for more in ((), ("--dry-run",)):
            done = ouchi(server, tmp_path, "up", *more)
            assert done.returncode == 2
            assert "lab is another machine than this one" in done.stderr
            assert "ouchi.yaml:1:10" in done.stderr

    def test_the_session_s_card_is_refused(self, server: Sshd, tmp_path: Path) -> None:
        name = next((nic.name for nic in collect(LocalMachine()).nics if nic.addresses and nic.physical), "")
        if not name:
            pytest.skip("no card with an address")
        (tmp_path / "ouchi.yaml").write_text(
            f"address: {server.address}\n{SITE}nics: [{{nic: {name}, physnet: physnet1}}]\n"
        )
        done = ouchi(server, tmp_path, "plan")
        assert done.returncode == 2
        assert f"the NIC {name} is in use" in done.stderr

    @pytest.mark.parametrize("words", ["inspect --address", "inspect", "doctor", "apply --yes", "undo --yes"])
    def test_ctrl_c_ends_everything(self, words: str, tmp_path: Path) -> None:
        """With one host or several, of which none has answered yet."""
        ports = (free_port(), free_port())
        sites, runtime = tmp_path / "sites.yaml", tmp_path / "runtime"
        runtime.mkdir()
        with Sshd("ForceCommand sleep 476.5", ports=ports) as silent:
            argv = [sys.executable, "-m", "ouchi", *words.split()]
            if words.endswith("--address"):
                argv.append(silent.address)
            else:
                hosts = "".join(f"- {{name: h{port}, address: 'root@127.0.0.1:{port}'}}\n" for port in ports)
                sites.write_text(f"{SITE}hosts:\n{hosts}")
                argv += ["--site", str(sites)]
            env = environment(OUCHI_SSH_CONFIG=silent.config, XDG_RUNTIME_DIR=str(runtime))
            process = subprocess.Popen(
                ["env", "--default-signal=INT", *argv],
                env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            )  # fmt: skip
            expected = 1 if "--address" in argv else len(ports)
            deadline = time.monotonic() + 10
            while len(running("476.5")) < expected and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=15)
            assert process.returncode == 130, said
            assert "Traceback" not in said
            assert_gone(silent.config)
            for pid in running("476.5"):
                os.kill(pid, signal.SIGKILL)
        assert os.listdir(runtime) == []

    @pytest.mark.parametrize("command", ["apply", "undo"])
    def test_this_machine_by_another_name_is_refused(self, server: Sshd, tmp_path: Path, command: str) -> None:
        """By an alias of ssh; what reaches it over a network could not be seen, nor whether it is still reached."""
        (tmp_path / "ouchi.yaml").write_text(f"address: h0\n{SITE}")
        config = one_config([server], tmp_path / "config")
        for more in (("--dry-run",), ("--yes",)):
            done = ouchi(server, tmp_path, command, "--site", "ouchi.yaml", "--ssh-config", config, *more)
            assert done.returncode == 2, done.stdout + done.stderr
            assert "lab is this machine itself" in done.stderr
            assert "ouchi.yaml:1:10" in done.stderr

    @pytest.mark.parametrize("command", ["apply", "undo"])
    @pytest.mark.parametrize("more", [("--dry-run",), ("--yes", "--no-reboot")])
    def test_one_machine_by_two_names_is_refused(self, tmp_path: Path, command: str, more: tuple[str, ...]) -> None:
        dead = f"root@127.0.0.1:{free_port()}"
        with Sshd(elsewhere=True) as one:
            # Whatever is not refused must not change this machine.
            with SshMachine(one.address, one.config) as machine:
                machine.run(("mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "none", "/run/lock"))
            config = one_config([one, one], tmp_path / "config")
            (tmp_path / "sites.yaml").write_text(
                f"{SITE}hosts:\n- {{name: first, address: h0}}\n- {{name: dead, address: '{dead}'}}\n"
                "- {name: second, address: h1}\n"
            )
            done = ouchi(one, tmp_path, command, "--site", "sites.yaml", "--ssh-config", config, *more)
            assert done.returncode == 2, done.stdout + done.stderr
            for name, other, line in (("first", "second", 5), ("second", "first", 7)):
                assert f"{name} and {other} are the same machine" in done.stderr
                assert f"sites.yaml:{line}:" in done.stderr
            assert f"there is no connection to {dead}" in done.stderr
            assert done.stdout.splitlines()[-1] == "3 hosts: 3 of them not as asked"

    @pytest.mark.parametrize("command", ["inspect", "doctor", "apply"])
    @pytest.mark.parametrize("times", [1, 2])
    def test_ctrl_c_ends_everything_on_several_hosts(self, tmp_path: Path, command: str, times: int) -> None:
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(Sshd(elsewhere=True)) for _ in range(3)]
            never_ending = tmp_path / "never-ending"
            never_ending.write_text("#!/bin/sh\nsleep 478.5\n")
            never_ending.chmod(0o755)
            for server in servers:
                with SshMachine(server.address, server.config) as machine:
                    # Looking takes it; the mount is this server's own.
                    machine.run(("mount", "--bind", str(never_ending), "/usr/bin/xargs"))
            config = one_config(servers, tmp_path / "config")
            hosts = "".join(f"- {{name: h{n}, address: h{n}}}\n" for n in range(len(servers)))
            (tmp_path / "sites.yaml").write_text(f"{SITE}hosts:\n{hosts}")
            (tmp_path / "runtime").mkdir()
            words = [sys.executable, "-m", "ouchi", command, "--site", "sites.yaml"]
            with subprocess.Popen(
                ["env", "--default-signal=INT", *words],
                env=environment(OUCHI_SSH_CONFIG=config, XDG_RUNTIME_DIR=str(tmp_path / "runtime")),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
            ) as process:  # fmt: skip
                until(lambda: len(running("sleep\x00478.5")) >= len(servers))
                locks = [server.folder / "lock" / "ouchi.lock" for server in servers]
                assert [path.exists() for path in locks] == [command == "apply"] * len(servers)
                for _ in range(times):
                    os.killpg(process.pid, signal.SIGINT)
                    time.sleep(0.2)
                out, said = process.communicate(timeout=15)
            assert process.returncode == 130, said
            assert "Traceback" not in out + said
            assert_gone("478.5")
            assert_gone(config)
            assert os.listdir(tmp_path / "runtime") == []
            for path in locks:
                assert_lockable(path)


def one_config(servers: list[Sshd], path: Path) -> str:
    """A configuration of ssh that knows these servers as h0, h1 and so on."""
    hosts = []
    for number, server in enumerate(servers):
        text = Path(server.config).read_text().replace("\n", "\n  ")
        hosts.append(f"Host h{number}\n  HostName 127.0.0.1\n  Port {server.port}\n  User root\n  {text}\n")
    path.write_text("".join(hosts))
    return str(path)


def until(probe: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_error_tree_is_for_the_user() -> None:
    assert issubclass(Unreachable, OuchiError)
    assert issubclass(ConnectionLost, OuchiError)
