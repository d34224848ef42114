"""ouchi's commands on hosts by ssh: facts, several hosts, Ctrl-C, what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from onlookers import assert_gone, assert_lockable, environment, one_config, running, until
from sshd import Sshd, free_port

from ouchi.core.instance import LOCK
from ouchi.facts import collect
from ouchi.machine.gather import gather
from ouchi.machine.local import LocalMachine
from ouchi.machine.ssh.machine import SshMachine

if os.geteuid() != 0:
    pytest.skip("sshd needs root", allow_module_level=True)


class TestFacts:
    def test_gathered_facts_are_those_that_are_read_here(self, remote: SshMachine) -> None:
        session = remote.probe("session")
        assert session == "127.0.0.1"
        there, here = (collect(reader, session).to_json() for reader in (gather(remote), LocalMachine()))
        for facts in (there, here):  # what changes from moment to moment
            facts["system"].pop("memory_available_kib")
            for node in facts["memory"]:
                node.pop("free_kib")
                node["hugepages"] = [pages["size_kib"] for pages in node["hugepages"]]
        assert there == here

    def test_file_by_file_they_are_the_same_too(self, remote: SshMachine) -> None:
        there, here = collect(remote), collect(LocalMachine())
        assert (there.cpus, there.l3, there.dpdk, there.boot) == (here.cpus, here.l3, here.dpdk, here.boot)


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
        plans = []
        for words in ((), ("--snapshot", "host.tar.gz")):
            planned = ouchi(server, tmp_path, "plan", "--json", *words)
            assert planned.returncode == 0, planned.stderr
            plans.append(json.loads(planned.stdout) | {"facts": "with free memory, which changes"})
        assert plans[0] == plans[1]

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
            assert done.stdout.splitlines()[-1] == "2 of 3 hosts succeeded"
            assert f"there is no connection to {dead}" in done.stderr
            answer = json.loads(ouchi(server, tmp_path, command, "--site", "sites.yaml", "--json").stdout)
            assert [(host["name"], host["status"]) for host in answer["hosts"]] == [
                ("one", 0),
                ("dead", 2),
                ("here", 0),
            ]
            assert answer["hosts"][0]["result"]
            assert answer["hosts"][1]["findings"][0]["claim"] == f"there is no connection to {dead}"
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

    def test_the_session_s_nic_is_refused(self, server: Sshd, tmp_path: Path) -> None:
        name = next((nic.name for nic in collect(LocalMachine()).nics if nic.addresses and nic.physical), "")
        if not name:
            pytest.skip("no NIC with an address")
        (tmp_path / "ouchi.yaml").write_text(
            f"address: {server.address}\n{SITE}nics: [{{nic: {name}, physnet: physnet1}}]\n"
        )
        done = ouchi(server, tmp_path, "plan")
        assert done.returncode == 2
        assert f"the NIC {name} is in use" in done.stderr

    @pytest.mark.parametrize("words", ["inspect --address", "apply --yes"])
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
            until(lambda: len(running("476.5")) >= expected, 30)
            process.send_signal(signal.SIGINT)
            _, output = process.communicate(timeout=30)
            assert process.returncode == 130, output
            assert "Traceback" not in output
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
                machine.run(("mkdir", LOCK))
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
            assert done.stdout.splitlines()[-1] == "0 of 3 hosts succeeded"

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
                until(lambda: len(running("sleep\x00478.5")) >= len(servers), 30)
                locks = [server.folder / "run" / "ouchi.lock" for server in servers]
                assert [path.exists() for path in locks] == [command == "apply"] * len(servers)
                for _ in range(times):
                    os.killpg(process.pid, signal.SIGINT)
                    time.sleep(0.2)
                out, output = process.communicate(timeout=30)
            assert process.returncode == 130, output
            assert "Traceback" not in out + output
            assert_gone("478.5")
            assert_gone(config)
            assert os.listdir(tmp_path / "runtime") == []
            for path in locks:
                assert_lockable(path)
