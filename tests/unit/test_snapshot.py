"""Snapshots: what is saved of a host, and that everything is the same from it."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import re
import stat
import sys
from pathlib import Path

import pytest

from ouchi.cli import main
from ouchi.core.errors import BadInput
from ouchi.facts import collect
from ouchi.machine.local import LocalMachine
from ouchi.machine.snapshot import SnapshotReader, open_snapshot
from ouchi.machine.snapshot.recorder import Noted, Recorder
from ouchi.machine.snapshot.redact import Macs, cmdline
from ouchi.machine.snapshot.save import save
from tests.hosts import folder
from tests.snapshots import recorded, saved, tar


def test_this_machine_is_the_same_from_its_snapshot(tmp_path: Path) -> None:
    recorder = Recorder(LocalMachine())
    here = collect(recorder).to_json()
    save(recorder.noted, tmp_path / "host.tar.gz")
    there = collect(open_snapshot(tmp_path / "host.tar.gz")).to_json()
    macs = Macs()
    for nic in sorted(here["nics"], key=lambda nic: str(nic["name"])):
        nic["mac"] = macs.replace(nic["mac"])
    kept = cmdline(" ".join(here["boot"].pop("parameters"))).split()
    assert there["boot"].pop("parameters") == kept
    text = json.dumps(here)
    if not any(ipaddress.ip_address(found).is_global for found in re.findall(r"\d+(?:\.\d+){3}", text)):
        assert there == here


@pytest.mark.parametrize("host", ["core-i5-13500", "n100-mini-pc", "only-nic-carries-session", "vm-4-cpus"])
def test_every_host_is_the_same_from_its_archive(host: str, tmp_path: Path) -> None:
    recorder = recorded(folder(host))
    save(recorder.noted, tmp_path / "host.tar.gz")
    before, after = (collect(tree) for tree in (open_snapshot(folder(host)), open_snapshot(tmp_path / "host.tar.gz")))
    assert (after.cpus, after.memory, after.system) == (before.cpus, before.memory, before.system)
    assert [(nic.name, nic.address, nic.driver, nic.default_route, len(nic.addresses)) for nic in after.nics] == [
        (nic.name, nic.address, nic.driver, nic.default_route, len(nic.addresses)) for nic in before.nics
    ]


def test_the_same_facts_are_the_same_bytes_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "host.tar.gz"
    save(recorded(folder("ryzen-5-3600")).noted, path)
    assert path.read_bytes() == saved("ryzen-5-3600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = open_snapshot(path)
    recorder = Recorder(again, again.readlink)
    collect(recorder)
    save(recorder.noted, path)  # replaced, by what was read from itself
    assert path.read_bytes() == saved("ryzen-5-3600")
    assert os.listdir(tmp_path) == ["host.tar.gz"]


def test_one_file_tells_one_story(tmp_path: Path) -> None:
    """What changes while it is read, like free memory, is noted as it was first seen."""
    (tmp_path / "meminfo").write_text("1")
    recorder = Recorder(SnapshotReader(tmp_path), lambda path: os.readlink(f"{tmp_path}{path}"))
    assert recorder.read("/meminfo") == "1"
    (tmp_path / "meminfo").write_text("2")
    assert recorder.read("/meminfo") == "1"
    assert recorder.noted.files == {"/meminfo": b"1"}


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    noted = Noted(files={"/proc/cpuinfo": b"x"})
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / "other.tar").write_bytes(tar())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("thesis", "other.tar", "pipe", "dangling", "."):
        with pytest.raises(BadInput, match="the file exists and is no snapshot"):
            save(noted, tmp_path / name)
    assert (tmp_path / "thesis").read_text() == "years of work"
    with pytest.raises(BadInput, match="cannot be saved"):
        save(noted, tmp_path / "no" / "such" / "folder.tar.gz")


def test_links_are_saved_as_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    function = root / "sys/devices/pci0000:00/0000:00:03.0"
    (function / "virtio0/net/eth0").mkdir(parents=True)
    (function / "uevent").write_text("PCI_SLOT_NAME=0000:00:03.0\n")
    (function / "virtio0/net/eth0/device").symlink_to("../../../virtio0")
    (root / "sys/class/net").mkdir(parents=True)
    (root / "sys/class/net/eth0").symlink_to("../../devices/pci0000:00/0000:00:03.0/virtio0/net/eth0")
    (function / "driver").symlink_to("../../../bus/pci/drivers/virtio-pci")  # leads to nothing that was recorded
    recorder = Recorder(SnapshotReader(root), lambda path: os.readlink(f"{root}{path}"))
    path = "/sys/class/net/eth0/device/../uevent"
    assert recorder.read(path) == "PCI_SLOT_NAME=0000:00:03.0\n"
    assert recorder.link("/sys/class/net/eth0/device/../driver") == "virtio-pci"
    assert recorder.entries("/sys/class/net") == ["eth0"]
    save(recorder.noted, tmp_path / "host.tar.gz")
    found = open_snapshot(tmp_path / "host.tar.gz")
    assert found.read(path) == found.read("/sys/devices/pci0000:00/0000:00:03.0/uevent")
    assert found.link("/sys/class/net/eth0/device/../driver") == "virtio-pci"
    assert found.readlink("/sys/class/net/eth0").startswith("../../devices/")
    assert not found.exists("/sys/class/net/eth0/device/../driver")
    assert not found.exists("/sys/class/net/eth1/../eth0")  # as on a host: there is no eth1 to leave again


def test_of_drivers_only_what_they_say_of_themselves(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    output = b'PMD_INFO_STRING= {"name" : "net_i40e"}\0'
    (tmp_path / "lib.so").write_bytes(b"\x7fELF" + random.Random(1).randbytes(5 << 20) + output + b"/home/builder\0")
    recorder = Recorder(SnapshotReader(tmp_path), lambda path: os.readlink(f"{tmp_path}{path}"))
    assert len(recorder.read_bytes("/lib.so", 8 << 20)) > 5 << 20
    assert output in recorder.noted.files["/lib.so"]
    assert b"builder" not in recorder.noted.files["/lib.so"]
    assert len(recorder.noted.files["/lib.so"]) < 1000


# The commands


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ouchi", *words])
    return main()


def test_inspect_saves_what_plan_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    file = str(tmp_path / "host.tar.gz")
    assert run(monkeypatch, "inspect", "--save", file, "--json") == 0
    output = capsys.readouterr()
    assert "host.tar.gz" in output.err
    assert run(monkeypatch, "inspect", "--snapshot", file, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["cpus"] == json.loads(output.out)["cpus"]
    plans = []
    for words in ((), ("--snapshot", file)):
        assert run(monkeypatch, "plan", "--json", *words) == 0
        plans.append(json.loads(capsys.readouterr().out) | {"facts": "with free memory, which changes"})
    assert plans[0] == plans[1]
    (tmp_path / "bad.tar.gz").write_bytes(Path(file).read_bytes()[:500])
    for command in ("inspect", "plan"):
        assert run(monkeypatch, command, "--snapshot", str(tmp_path / "bad.tar.gz")) == 2
        assert "bad.tar.gz" in capsys.readouterr().err
