"""A host by ssh does what this machine does: a real sshd, real programs, and what goes wrong on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from onlookers import assert_gone, assert_lockable, environment, outcome, running
from sshd import SUDOER, Sshd, free_port

from ouchi.core import log
from ouchi.core.errors import BadInput, Interrupted
from ouchi.core.log import Record
from ouchi.flows.site_host import SiteHost
from ouchi.machine import CommandFailed, Machine
from ouchi.machine.local import LocalMachine
from ouchi.machine.ssh.machine import SshMachine
from ouchi.machine.ssh.unreachable import ConnectionLost

if os.geteuid() != 0:
    pytest.skip("sshd needs root", allow_module_level=True)

ODD = ["plain", "two words", "line\nbreak", "quote'\"", "-n", "$(touch x)`y`", "ümläut", "a\\b", "*", "tab\there"]
CONTENTS = [b"", b"a", b"text\n", b"\0", b"\0\xff\r\n'\"$x\n\0", bytes(range(256)) * 4096, b"no end of line"]


def status(path: Path) -> tuple[int, int, int]:
    """The permission bits, the owner and the group."""
    found = path.lstat()
    return found.st_mode & 0o7777, found.st_uid, found.st_gid


class TestFiles:
    @pytest.mark.parametrize("name", ODD)
    def test_any_name(self, machine: Machine, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        machine.write(path, "text", mode=0o640)
        assert path.read_text() == "text"
        assert (machine.read(path), machine.exists(path), machine.mode(path)) == ("text", True, 0o640)
        assert machine.entries(tmp_path) == [name]
        assert machine.kind(path) == "file"
        machine.append(path, f" and {name}")
        assert path.read_text() == f"text and {name}"
        (tmp_path / "link").symlink_to(name)
        assert machine.kind(tmp_path / "link") == "link"
        assert machine.link(tmp_path / "link") == name
        machine.remove(path)
        assert not path.exists()
        assert machine.kind(path) == ""

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
        assert status(tmp_path / "file") == (0o750, 1, 1)
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
        assert machine.kind(folder) == "folder"
        assert status(folder) == (0o700, 1, 1)
        assert status(tmp_path / "a") == (0o755, 0, 0)
        (folder / "file").write_text("x")
        (tmp_path / "link").symlink_to(folder)
        assert machine.entries(tmp_path / "link") == ["file"]
        machine.remove(tmp_path / "link")
        assert (folder / "file").exists()
        machine.remove(tmp_path / "a")
        machine.remove(tmp_path / "a")
        assert os.listdir(tmp_path) == []

    def test_other_kinds(self, machine: Machine, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        assert machine.kind(tmp_path / "pipe") == "other"
        assert machine.kind("/") == "folder"
        assert machine.kind("/etc/passwd/x") == ""

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
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1):
            result = machine.run(("sh", "-c", f"kill -{number} $$"), check=False, outlive=outlive)
            assert (result.status, result.stderr) == (-number, "")
        for status in (1, 126, 127, 128, 130, 137, 141, 159, 255):
            assert machine.run(("sh", "-c", f"exit {status}"), check=False, outlive=outlive).status == status

    def test_environment_and_folder(self, machine: Machine, tmp_path: Path) -> None:
        env = {"ONE": "a 'b'\n$c", "TWO": ""}
        output = machine.run(("sh", "-c", 'printf "%s|%s|%s|" "$ONE" "$TWO" "$LC_ALL"; pwd'), env=env, cwd=tmp_path)
        assert output.stdout == f"a 'b'\n$c||C.UTF-8|{tmp_path}\n"

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
        assert time.monotonic() - begin < 15
        assert_gone("471.")

    def test_timeout_does_not_wait_for_what_left_the_group(self, machine: Machine) -> None:
        begin = time.monotonic()
        with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
            machine.run(("sh", "-c", "echo output; setsid sleep 20.25 & sleep 20.5"), timeout=0.5)
        assert time.monotonic() - begin < 15
        for pid in running("sleep\x0020.25"):
            os.kill(pid, signal.SIGKILL)

    def test_interrupt(self, machine: Machine, tmp_path: Path) -> None:
        machine.run(("true",))  # the login is over
        threading.Timer(0.5, machine.interrupt).start()
        begin = time.monotonic()
        with pytest.raises((Interrupted, CommandFailed)):
            machine.run(("sleep", "472"), timeout=60)
        assert time.monotonic() - begin < 15
        assert_gone("sleep\x00472")
        with pytest.raises(Interrupted):
            machine.run(("true",))
        machine.write(tmp_path / "noted", "what was done")
        assert machine.read(tmp_path / "noted") == "what was done"

    def test_interrupt_while_a_host_reboots(self, server: Sshd) -> None:
        """It comes back over new connections; here it never goes down, or nobody answers."""
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for address in (server.address, f"root@127.0.0.1:{free_port()}"):
            host = SiteHost("h", address, "", None, SshMachine(address, server.config))
            threading.Timer(1.0, host.machine.interrupt).start()
            begin = time.monotonic()
            with pytest.raises(Interrupted):
                host.after_reboot(boot_id)
            assert time.monotonic() - begin < 15
        assert_gone(server.config)

    def test_interrupt_while_a_lock_is_awaited(self, server: Sshd, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "lock")  # opening it takes for ever
        with SshMachine(server.address, server.config) as machine:
            machine.connection.login()
            threading.Timer(0.5, machine.interrupt).start()
            begin = time.monotonic()
            with pytest.raises(Interrupted), machine.hold(tmp_path / "lock", "x"):
                pass
            assert time.monotonic() - begin < 15
            with pytest.raises(Interrupted), machine.hold(tmp_path / "other", "x"):
                pass

    def test_what_may_outlive_us(self, machine: Machine, tmp_path: Path) -> None:
        output = machine.run(("sh", "-c", "echo out; echo err >&2; exit 3"), outlive=True, check=False)
        assert (output.status, output.stdout, output.stderr) == (3, "out\n", "err\n")


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
        """What it leads to would be emptied."""
        (tmp_path / "other").write_text("content")
        (tmp_path / "lock").symlink_to("other")
        with pytest.raises((BadInput, OSError), match="Too many levels"), machine.hold(tmp_path / "lock", "x"):
            pass
        assert (tmp_path / "other").read_text() == "content"

    def test_status_knows_who_holds_it(self, remote: SshMachine, tmp_path: Path) -> None:
        from ouchi.flows.status import under_way

        path = str(tmp_path / "lock")
        with remote.hold(path, "apply"):
            assert under_way(LocalMachine(), path).startswith("ouchi apply, process ")
        assert under_way(LocalMachine(), path) == ""

    def test_it_goes_with_us(self, server: Sshd, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        holder = (
            "import sys; from ouchi.machine.ssh.machine import SshMachine\n"
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
        monkeypatch.setattr("ouchi.machine.ssh.connection.HEARTBEAT_SECONDS", (0.5, 2.0))
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


class TestCommandLog:
    def test_commands_and_changes_are_logged_with_their_host(self, remote: SshMachine, tmp_path: Path) -> None:
        records: list[Record] = []
        before = log.log_to(records.append)
        try:
            remote.run(("sh", "-c", "exit 7"), check=False, env={"COLOUR": "red"}, input="four")
            with pytest.raises(CommandFailed):
                remote.run(("sleep", "60"), timeout=0.3)
            with pytest.raises(CommandFailed):
                remote.run(("no-such-program",))
            remote.run(("true", "--password", "hunter2hunter2"), input="hunter2hunter2")
            remote.write(tmp_path / "file", "secret")
            remote.poke(tmp_path / "file", "512")
            remote.read(tmp_path / "file")
        finally:
            log.log_to(before)
        host = str(remote.address)
        assert {record.host for record in records} == {host}
        assert records[0].action == "connect"
        assert [(record.action, record.argv, record.status) for record in records[1:]] == [
            ("run", ("sh", "-c", "exit 7"), 7),
            ("run", ("sleep", "60"), -9),
            ("run", ("no-such-program",), 127),
            ("run", ("true", "--password", "***"), 0),
            ("write", (str(tmp_path / "file"), "6 bytes"), None),
            ("poke", (str(tmp_path / "file"), "512"), None),
            ("run", ("cat", "--", str(tmp_path / "file")), 0),
        ]
        first, slow = records[1:3]
        assert (first.env, first.input) == (("COLOUR",), 4)
        assert slow.note == "killed after 0.3 s"
        assert 0.3 <= slow.seconds < 30
