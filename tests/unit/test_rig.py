"""The rig's pure parts: its hardware in QEMU's words, its disk's first sector, keys, names and the output of other programs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path, PurePath
from typing import Any

import pytest

from ouchi.core.errors import BadInput, Failed, error
from ouchi.machine import CommandFailed, Result
from ouchi.machine.local import LocalMachine
from ouchi.rig import assets, debian, image, states
from ouchi.rig.assets import Assets, read_assets, require_same
from ouchi.rig.building import building, digest
from ouchi.rig.hardware import ABSENT, ACCELERATORS, Files, Shape, qemu_arguments
from ouchi.rig.keeper import KeeperStatus, Phase, read_status
from ouchi.rig.login import known_host, ssh_config
from ouchi.rig.monitor import Monitor
from ouchi.rig.paths import RigPaths, rig_paths
from ouchi.rig.rig import ATTEMPTS, Fault, Rig
from ouchi.rig.tools import Tools

FILES = Files(PurePath("/rig"))
TOOLS = Tools(PurePath("/cache/tools-1"), "1")
ASSETS = Assets(TOOLS, image.Image(PurePath("/cache/image-2"), "2"), False, PurePath("/cache/base-3/disk.qcow2"))


class TestHardware:
    def test_only_loopback_reaches_it(self) -> None:
        words = qemu_arguments(FILES, "multi", 2222)
        assert [word for word in words if "hostfwd" in word] == [
            "user,id=management,hostfwd=tcp:127.0.0.1:2222-:22",
        ]

    def test_twelve_cpus_in_two_dies(self) -> None:
        words = qemu_arguments(FILES, "multi", 2222)
        assert words[words.index("-smp") + 1] == "12,sockets=1,dies=2,cores=3,threads=2"
        assert "smp-cache.0.cache=l3,smp-cache.0.topology=die" in words[words.index("-machine") + 1]

    @pytest.mark.parametrize(("shape", "gib"), [(Shape.TWO_NODES, ["4G", "4G"]), (Shape.MEMORYLESS, ["8G"])])
    def test_two_nodes_have_a_die_and_a_nic_each(self, shape: Shape, gib: list[str]) -> None:
        words = qemu_arguments(FILES, "multi", 2222, shape=shape)
        assert [word.split("size=")[1] for word in words if word.startswith("memory-backend-ram")] == gib
        assert [word for word in words if word.startswith("cpu,")] == [
            "cpu,node-id=0,socket-id=0,die-id=0",
            "cpu,node-id=1,socket-id=0,die-id=1",
        ]
        slots = [word.partition("bus=")[2] for word in words if word.startswith("pcie-root-port")]
        assert slots == ["node1", "node0", "pcie.0"]

    def test_each_port_has_a_slot_of_its_own_and_the_old_nics_share_one(self) -> None:
        words = qemu_arguments(FILES, "multi", 2222)
        buses = [word.split("bus=")[1].split(",")[0] for word in words if word.startswith(("igb,", "e1000,"))]
        assert buses == ["slot1", "slot2", "shared", "shared"]
        assert len({word.split("mac=")[1] for word in words if "mac=" in word}) == 5
        assert all(word.endswith("romfile=") for word in words if "mac=" in word)

    @pytest.mark.parametrize(
        ("accelerator", "runs", "machine"),
        [
            ("single", "tcg,thread=single", ""),
            ("multi", "tcg,thread=multi", ""),
            ("kvm", "kvm", "kernel-irqchip=split"),
        ],
    )
    def test_how_cpus_run(self, accelerator: str, runs: str, machine: str) -> None:
        words = qemu_arguments(FILES, accelerator, 2222)
        assert words[words.index("-accel") + 1] == runs
        assert words[words.index("-machine") + 1].endswith(machine)

    def test_a_saved_state_meets_the_same_machine(self) -> None:
        """Whatever runs the CPUs: QEMU loads a state only into the devices it was saved from."""
        devices = {
            accelerator: [word for word in qemu_arguments(FILES, accelerator, 2222) if "tcg" not in word]
            for accelerator in ACCELERATORS
            if accelerator != "kvm"
        }
        assert devices["single"] == devices["multi"]
        assert qemu_arguments(FILES, "multi", 2222, "base")[-2:] == ["-loadvm", "base"]

    def test_a_reset_ends_qemu(self) -> None:
        assert "-no-reboot" in qemu_arguments(FILES, "single", 2222)

    def test_a_comma_in_a_path_is_no_option(self) -> None:
        words = qemu_arguments(Files(PurePath("/a,b")), "single", 2222)
        assert any(word.startswith("file=/a,,b/disk.qcow2,format=qcow2") for word in words)

    def test_the_cpu_is_the_same_everywhere(self) -> None:
        words = qemu_arguments(FILES, "single", 2222)
        cpu = words[words.index("-cpu") + 1]
        assert all(f",{name}=off" in cpu for name in ABSENT)


class TestTools:
    def test_programs_run_with_their_own_loader_and_libraries(self) -> None:
        libraries = "/cache/tools-1/usr/lib/x86_64-linux-gnu"
        assert TOOLS.argv("mke2fs", "-V") == (
            f"{libraries}/ld-linux-x86-64.so.2", "--argv0", "mke2fs", "--library-path", libraries,
            "/cache/tools-1/usr/sbin/mke2fs", "-V",
        )  # fmt: skip
        assert "/cache/tools-1/usr/bin/qemu-img" in TOOLS.argv("qemu-img")

    def test_qemu_adds_nothing_by_itself(self) -> None:
        words = TOOLS.qemu("-m", "64")
        assert {"-nodefaults", "-no-user-config"} < set(words)
        assert words[-2:] == ("-m", "64")


class TestImage:
    def test_partition_table(self) -> None:
        sector = image.partition_table()
        assert len(sector) == 512
        assert sector[510:] == b"\x55\xaa"
        assert (sector[446], sector[450]) == (0x80, 0x83)
        begin, count = (int.from_bytes(sector[at : at + 4], "little") for at in (454, 458))
        assert (begin, (begin + count) * 512) == (2048, image.SIZE)

    def test_every_file_of_the_guest_has_a_place(self) -> None:
        there = {entry.name for entry in resources.files("ouchi.rig").joinpath("guest").iterdir()}
        assert there == set(image.FILES)
        assert len({location for location, _ in image.FILES.values()}) == len(image.FILES)

    @pytest.mark.parametrize("name", ["setup", "finish", "grub"])
    def test_scripts_are_shell(self, name: str) -> None:
        text = image.package_text(f"guest/{name}")
        assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0

    def test_the_key_is_that_of_the_recipe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = image.image_key()
        assert before == image.image_key()
        assert len(before) == 16
        read = image.package_text
        monkeypatch.setattr(image, "package_text", lambda name: read(name) + ("#" if name.endswith("grub") else ""))
        assert image.image_key() != before

    def test_no_password_logs_in(self) -> None:
        assert "PasswordAuthentication no" in image.package_text("guest/sshd.conf")


class TestMaking:
    def test_the_parts_of_a_digest_do_not_run_together(self) -> None:
        assert digest("ab", "c") != digest("a", "bc")

    def test_a_thing_has_its_name_only_when_it_is_complete(self, tmp_path: Path) -> None:
        machine = LocalMachine()
        (tmp_path / ".building-thing.tar").write_text("of a killed run")
        with building(machine, tmp_path / "thing") as work:
            (work / "file").write_text("whole")
            assert os.listdir(tmp_path) == [".building-thing"]
        assert os.listdir(tmp_path) == ["thing"]
        assert (tmp_path / "thing/file").read_text() == "whole"

    def test_a_failure_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(Failed), building(LocalMachine(), tmp_path / "thing"):
            raise Failed(error("no room"))
        assert os.listdir(tmp_path) == []


class Printing(LocalMachine):
    """A machine on which every program prints the same."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def run(self, argv: Sequence[str], **_settings: Any) -> Result:
        return Result(tuple(argv), 0, self.text, "")


class TestDebian:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            (
                "Debian|Debian-Security|http://s.example/\nDebian|Debian|http://d.example/debian\n",
                "http://d.example/debian",
            ),
            ("Ubuntu|Ubuntu|http://u.example/ubuntu\n", ""),
            ("Debian|Debian|file:/mnt/debian\n", ""),
            ("", ""),
        ],
    )
    def test_the_mirror_is_that_of_the_machine(self, text: str, found: str) -> None:
        assert debian.mirror(Printing(text)) == ([found] if found else [])

    def test_proxies(self) -> None:
        text = (
            "APT \nAcquire::http::Proxy http://p:3128\nAcquire::https::Proxy DIRECT\nAcquire::http::Proxy::x DIRECT\n"
        )
        assert debian.proxies(Printing(text)) == {"http_proxy": "http://p:3128"}

    def test_without_root_it_names_what_is_missing(self) -> None:
        class Unprivileged(LocalMachine):
            def run(self, argv: Sequence[str], **_settings: Any) -> Result:
                answer = {"id": "1000\n", "dpkg-query": "tar installed\nopenssh-client installed\n"}[argv[0]]
                return Result(tuple(argv), 0, answer, "")

        with pytest.raises(BadInput, match="not installed") as caught:
            debian.require_tools(Unprivileged(), PurePath("/nowhere"), lambda _text: None)
        finding = caught.value.findings[0]
        assert "mmdebstrap" in finding.found
        assert "openssh-client" not in finding.found
        assert finding.remedy.startswith("sudo apt-get install")


class TestLogin:
    def test_ssh_reads_the_configuration(self, tmp_path: Path) -> None:
        config = tmp_path / "config"
        config.write_text(ssh_config(2299, PurePath("/a b/key"), PurePath("/a b/known_hosts")))
        output = subprocess.run(["ssh", "-G", "-F", config, "rig"], capture_output=True, text=True, check=True).stdout
        required = {"hostname 127.0.0.1", "port 2299", "user root", "identitiesonly yes", "stricthostkeychecking true"}
        assert required < set(output.splitlines())
        assert "/a b/key" in output

    def test_the_host_is_known_by_its_alias(self) -> None:
        assert known_host("ssh-ed25519 AAAA root@rig\n") == "rig ssh-ed25519 AAAA\n"


class TestStates:
    def test_states_come_oldest_first(self) -> None:
        found = {"snapshots": [{"name": name, "date-sec": at, "vm-state-size": 5} for name, at in (("b", 2), ("a", 1))]}
        assert [state.name for state in states.parse_states(found)] == ["a", "b"]
        assert states.parse_states({}) == []

    @pytest.mark.parametrize("name", ["", "1", "base", "booted", "suspended", "a b", "-x", "x" * 61, "ä"])
    def test_names_that_are_none(self, name: str) -> None:
        with pytest.raises(BadInput, match="not a valid name for a snapshot"):
            states.require_name(name)

    def test_a_state_that_is_not_there(self) -> None:
        states.require_name("vf.2-on_a")
        with pytest.raises(BadInput, match="no such snapshot") as caught:
            states.require_state([states.SavedState("base", 1, 2)], "other")
        assert caught.value.findings[0].expected == "base"


class TestPlaces:
    def test_by_the_xdg_rules(self) -> None:
        assert rig_paths({"HOME": "/home/a"}) == RigPaths(
            PurePath("/home/a/.cache/ouchi/rig"), PurePath("/home/a/.local/state/ouchi/rig")
        )
        chosen = {"HOME": "/home/a", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "relative"}
        assert rig_paths(chosen) == RigPaths(PurePath("/c/ouchi/rig"), PurePath("/home/a/.local/state/ouchi/rig"))

    def test_two_rigs_have_two_marks(self) -> None:
        assert RigPaths(PurePath("/c"), PurePath("/a")).mark != RigPaths(PurePath("/c"), PurePath("/b")).mark


class TestParts:
    def test_are_read_as_they_were_written(self, tmp_path: Path) -> None:
        assert read_assets(LocalMachine(), tmp_path) is None
        (tmp_path / assets.ASSETS).write_text(ASSETS.to_json())
        assert read_assets(LocalMachine(), tmp_path) == ASSETS
        require_same(LocalMachine(), ASSETS, tmp_path)

    def test_states_of_another_ouchi_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / assets.ASSETS).write_text(ASSETS.to_json().replace("base-3", "base-4"))
        with pytest.raises(BadInput, match="another version of ouchi") as caught:
            require_same(LocalMachine(), ASSETS, tmp_path)
        assert "--new" in caught.value.findings[0].remedy


def test_what_the_keeper_says_is_read_as_it_was_written(tmp_path: Path) -> None:
    where = RigPaths(tmp_path, tmp_path)
    assert read_status(LocalMachine(), where) is None
    kept = KeeperStatus(Phase.FAILED, "cold boot", ("one", "two"), (error("QEMU ended", found="status 1"),))
    where_status = Path(where.status)
    where_status.write_text(json.dumps(kept.to_json()))
    assert read_status(LocalMachine(), where) == kept


class TestAttempts:
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        return Rig(LocalMachine(), ASSETS, tmp_path)

    def test_a_fault_is_counted_and_tried_again(self, rig: Rig) -> None:
        left = [Fault(error("QEMU ended", found="status 134"))]

        def once() -> None:
            if left:
                raise left.pop()

        rig._attempt("cold boot", once)
        assert rig.faults == ["cold boot: QEMU ended: status 134"]

    def test_attempts_are_bounded(self, rig: Rig) -> None:
        def once() -> None:
            raise Fault(error("QEMU ended"))

        with pytest.raises(Fault):
            rig._attempt("cold boot", once)
        assert len(rig.faults) == ATTEMPTS

    def test_half_a_disk_is_none(self, tmp_path: Path) -> None:
        """Its copy did not fit: the next reboot makes another, and boots no half one."""

        class Full(LocalMachine):
            def run(self, argv: Sequence[str], **_settings: Any) -> Result:
                Path(argv[-1]).write_text("half")
                raise CommandFailed(Result(tuple(argv), 1, "", "cp: No space left on device"))

        with pytest.raises(Failed, match="No space left"):
            Rig(Full(), ASSETS, tmp_path).up()
        assert os.listdir(tmp_path) == [assets.ASSETS]

    def test_a_rig_that_is_off_says_so(self, rig: Rig) -> None:
        assert rig.ended() == "off"


class TestMonitor:
    @pytest.fixture
    def qemu(self, tmp_path: Path) -> Callable[..., Path]:
        """A socket that greets, answers each line with the next lines given, and hangs up after the last."""

        def serve(*answers: Sequence[dict[str, Any]]) -> Path:
            path = tmp_path / "monitor"
            server = socket.socket(socket.AF_UNIX)
            server.bind(str(path))
            server.listen()

            def talk() -> None:
                link = server.accept()[0]
                with server, link, link.makefile("rw") as stream:
                    stream.write('{"QMP": {}}\n')
                    stream.flush()
                    for answer in ([{"return": {}}], *answers):
                        stream.readline()
                        stream.writelines(json.dumps(line) + "\n" for line in answer)
                        stream.flush()

            threading.Thread(target=talk, daemon=True).start()
            return path

        return serve

    def test_events_do_not_get_in_the_way_of_answers(self, qemu: Callable[..., Path]) -> None:
        shutdown = {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-reset"}}
        with Monitor(qemu([{"event": "RTC_CHANGE"}, shutdown, {"return": "no space\r\n"}])) as monitor:
            assert monitor.command("savevm x") == "no space"
            assert monitor.ended_by() == "guest-reset"

    def test_a_refusal_has_qemus_reason(self, qemu: Callable[..., Path]) -> None:
        with (
            Monitor(qemu([{"error": {"class": "GenericError", "desc": "no such device"}}])) as monitor,
            pytest.raises(Failed, match="no such device"),
        ):
            monitor.execute("eject")

    def test_a_hang_up_is_told(self, qemu: Callable[..., Path]) -> None:
        with Monitor(qemu()) as monitor:
            with pytest.raises(Failed, match="did not do what it was asked"):
                monitor.execute("stop", within=2)
            assert monitor.ended_by() == ""

    def test_nobody_listens(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="No such file"):
            Monitor(tmp_path / "monitor")
