"""The guest image is built, booted by QEMU's BIOS without KVM, talked to, and switched off by its power button."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sshd import free_port

import ouchi
from ouchi.core.errors import Failed
from ouchi.machine.local import LocalMachine
from ouchi.vnf.images.small import Image, build_image, require_tools

NAME = "forwarder-1"
T = TypeVar("T")
USER_DATA = '#!/bin/sh\necho "user data: $(hostname), forwards $(cat /proc/sys/net/ipv4/ip_forward)"\n'


@dataclass(frozen=True)
class Built:
    """An image, and what its folder held when a build before it was killed."""

    image: Image
    folder: Path
    after_kill: list[str]
    output: list[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    try:
        require_tools(LocalMachine())
    except Failed as missing:
        pytest.fail(str(missing))
    folder = tmp_path_factory.mktemp("image")
    after_kill = kill_a_build(folder, when="building the disk")
    output: list[str] = []
    return Built(build_image(LocalMachine(), folder, output.append), folder, after_kill, output)


def kill_a_build(folder: Path, when: str) -> list[str]:
    code = (
        "import sys; from ouchi.machine.local import LocalMachine; from ouchi.vnf.images.small import build_image;"
        "build_image(LocalMachine(), sys.argv[1], lambda line: print(line, flush=True))"
    )
    source = str(Path(ouchi.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    ) as builder:
        alarm = time.monotonic() + 120
        assert builder.stdout
        for line in builder.stdout:  # the build itself is bounded: each of its programs is
            if line.strip() == when or time.monotonic() > alarm:
                break
        builder.send_signal(signal.SIGKILL)
    assert builder.returncode == -signal.SIGKILL
    return os.listdir(folder)


def test_killed_build_leaves_nothing_that_looks_finished(built: Built) -> None:
    assert any(name.startswith(".building-") for name in built.after_kill)
    assert not any(name.endswith(".img") for name in built.after_kill)
    assert not any(name.startswith(".building-") for name in os.listdir(built.folder))


def test_image_is_small_and_made_once(built: Built) -> None:
    assert not built.image.reused
    assert built.output
    assert built.image.size == Path(built.image.path).stat().st_size <= 40_000_000
    output: list[str] = []
    again = build_image(LocalMachine(), built.folder, output.append)
    assert (again.path, again.key, again.size, again.reused) == (built.image.path, built.image.key, again.size, True)
    assert output == []


@dataclass
class Guest:
    """A running QEMU: what its serial console said so far, its control socket and its forwarded port."""

    process: subprocess.Popen[bytes]
    console: Path
    control: Path
    port: int
    began: float = field(default_factory=time.monotonic)

    def output(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """The line with ``text``, once it is complete."""

        def line() -> str | None:
            return next((line for line in self.output().split("\n")[:-1] if text in line), None)

        return wait(line, seconds, lambda: f"{text!r} on the console, which says: {self.output()[-2000:]!r}")

    def command(self, name: str) -> None:
        """Have QEMU do something, through QMP."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(str(self.control))
            with link.makefile("rw") as stream:
                stream.readline()
                for word in ("qmp_capabilities", name):
                    stream.write(json.dumps({"execute": word}) + "\n")
                    stream.flush()
                    while "return" not in (reply := json.loads(stream.readline())):
                        assert "error" not in reply


def wait(look: Callable[[], T | None], seconds: float, what: Callable[[], str]) -> T:
    end = time.monotonic() + seconds
    while (seen := look()) is None:
        assert time.monotonic() < end, f"not within {seconds} s: {what()}"
        time.sleep(0.05)
    return seen


CONFIG_DRIVES = {
    "q35": ["-device", "virtio-blk-pci,drive=config"],
    "pc": ["-device", "virtio-scsi-pci,id=scsi", "-device", "scsi-cd,bus=scsi.0,drive=config"],
}
"""Both ways that the cloud may attach a config drive, on one machine type each."""


@pytest.fixture(params=CONFIG_DRIVES)
def guest(request: pytest.FixtureRequest, built: Built, tmp_path: Path) -> Iterator[Guest]:
    config = tmp_path / "config/openstack/latest"
    config.mkdir(parents=True)
    (config / "meta_data.json").write_text(json.dumps({"hostname": NAME, "meta": {"ouchi_forwards": "true"}}))
    (config / "user_data").write_text(USER_DATA)
    drive = tmp_path / "config.iso"
    subprocess.run(
        ["genisoimage", "-quiet", "-J", "-r", "-V", "config-2", "-o", drive, tmp_path / "config"],
        check=True,
        timeout=30,
    )
    disk = shutil.copy(built.image.path, tmp_path / "disk.img")
    port = free_port()
    console, control = tmp_path / "console", tmp_path / "qmp"
    machine: str = request.param
    command = ["qemu-system-x86_64", "-machine", machine, "-accel", "tcg", "-cpu", "qemu64", "-m", "256"]
    command += ["-nodefaults", "-no-user-config", "-display", "none", "-serial", f"file:{console}"]
    command += ["-qmp", f"unix:{control},server=on,wait=off"]
    command += ["-drive", f"file={disk},format=raw,if=none,id=disk", "-device", "virtio-blk-pci,drive=disk,bootindex=1"]
    command += ["-drive", f"file={drive},format=raw,if=none,id=config,readonly=on", *CONFIG_DRIVES[machine]]
    command += ["-netdev", f"user,id=a,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:5201"]
    command += ["-netdev", "user,id=b,restrict=on,net=10.1.1.0/24"]
    for net in "ab":
        command += ["-device", f"virtio-net-pci,netdev={net},vectors=0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            yield Guest(process, console, control, port)
        finally:
            process.kill()


def test_guest_boots_serves_and_switches_off(guest: Guest) -> None:
    ready = guest.wait_for("ouchi-guest: ready")
    print(f"ready after {time.monotonic() - guest.began:.1f} s")
    assert ready.partition("ready ")[2].split()[0] == NAME
    assert "10.0.2.15/24" in ready or "10.1.1.15/24" in ready
    guest.wait_for("address eth0 10.0.2.15/24")
    guest.wait_for("address eth1 10.1.1.15/24")
    assert guest.wait_for("user data:").endswith(f"user data: {NAME}, forwards 1")

    measured = wait(lambda: measure(guest.port), 30, lambda: "an answer from the guest's iperf3")
    assert measured["end"]["sum_received"]["bytes"] > 100_000

    guest.command("system_powerdown")
    assert guest.process.wait(timeout=30) == 0


def measure(port: int) -> Any:
    """What iperf3 reports of half a megabyte sent by the guest; None when it does not answer yet."""
    client = subprocess.run(
        ["iperf3", "--client", "127.0.0.1", "--port", str(port), "--reverse", "--bytes", "500K", "--json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    report = json.loads(client.stdout)
    # Some versions end with status 0 when the server goes away at once, as QEMU does for a guest not there yet.
    return None if client.returncode or "error" in report else report
