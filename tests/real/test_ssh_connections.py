"""Connections by ssh to a real sshd: made, refused, lost, shared, and whose they are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from onlookers import assert_gone, environment, one_config, outcome, running, until
from sshd import SUDOER, USER, Sshd, children, free_port

from ouchi.core.errors import BadInput, OuchiError
from ouchi.facts import collect
from ouchi.machine import CommandFailed, Machine
from ouchi.machine.gather import gather
from ouchi.machine.local import LocalMachine
from ouchi.machine.ssh.machine import SshMachine
from ouchi.machine.ssh.unreachable import ConnectionLost, Unreachable

if os.geteuid() != 0:
    pytest.skip("sshd needs root", allow_module_level=True)


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
        server.write_known_hosts(known, server.port)
        other = (server.folder / "user.pub").read_text().split()[1]
        words = known.read_text().split()
        known.write_text(f"{words[0]} {words[1]} {other}\n")
        with SshMachine(server.address, server.client_config(known)) as machine, pytest.raises(Unreachable) as caught:
            machine.run(("true",))
        (finding,) = caught.value.findings
        assert "has changed" in finding.claim
        assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in finding.remedy

    def test_a_key_that_does_not_let_us_in(self, server: Sshd) -> None:
        config = server.client_config(server.folder / "known_hosts", "host")
        with SshMachine(server.address, config) as machine, pytest.raises(Unreachable) as caught:
            machine.run(("true",))
        (finding,) = caught.value.findings
        assert "refuses the login" in finding.claim
        assert "Permission denied" in finding.found

    def test_a_server_that_says_nothing(self, server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ouchi.machine.ssh.connection.LOGIN_SECONDS", 1.0)
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
            assert time.monotonic() - begin < 15
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
        until(lambda: os.listdir(tmp_path) == ["file"])
        assert path.read_bytes() in (b"before", content)

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
        until(lambda: not server.sessions())

    def test_nothing_stays_of_one_that_is_killed(self, server: Sshd, tmp_path: Path) -> None:
        code = (
            "import sys; from ouchi.machine.ssh.machine import SshMachine\n"
            "SshMachine(*sys.argv[1:3]).run(('sleep', '474.5'), timeout=90)"
        )
        env = environment(XDG_RUNTIME_DIR=str(tmp_path))
        with subprocess.Popen([sys.executable, "-c", code, server.address, server.config], env=env) as process:
            until(lambda: bool(running("sleep\x00474.5")))
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
                output = machine.run(("sh", "-c", "echo out; echo err >&2"))
                assert (output.stdout, output.stderr) == ("out\n", "err\n")
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
        ("shell", "output"),
        [("/usr/sbin/nologin", "This account is currently not available"), ("/bin/false", "exit status 1")],
    )
    def test_one_that_lets_nobody_work(self, shell: str, output: str) -> None:
        with Sshd() as closed:
            closed.has_shell("root", shell)
            with SshMachine(closed.address, closed.config) as machine, pytest.raises(Unreachable, match=output):
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
            for location in (tmp_path, "/dev/shm"):
                machine.run(("mount", "-t", "tmpfs", "-o", "size=64k", "none", str(location)))
            machine.write(tmp_path / "file", "x" * 50_000)
            assert outcome(lambda: machine.write(tmp_path / "file", "y" * 50_000)) == "ENOSPC"
            assert machine.read(tmp_path / "file") == "x" * 50_000
            assert outcome(lambda: machine.append(tmp_path / "file", "y" * 50_000)) == "ENOSPC"
            assert machine.entries(tmp_path) == ["file"]
            with pytest.raises(CommandFailed, match="no space for its input"):
                machine.write(tmp_path / "file", "x" * 100_000)
            assert machine.entries("/dev/shm") == []


def test_the_error_tree_is_for_the_user() -> None:
    assert issubclass(Unreachable, OuchiError)
    assert issubclass(ConnectionLost, OuchiError)
