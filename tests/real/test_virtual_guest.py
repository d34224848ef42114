"""A virtual machine as the guest of a path: started under QEMU without KVM, sent frames by the generator, ended.

The generator's ports are themselves the other ends of the guest's vhost-user sockets; no switch is between.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from guardian import lent_hugepages

from ouchi.core.errors import Failed
from ouchi.core.instance import Instance
from ouchi.machine import processes
from ouchi.machine.local import LocalMachine
from ouchi.measure.generator.build import build
from ouchi.measure.generator.frames import Headers
from ouchi.measure.generator.process import Generator, RoutedStream
from ouchi.measure.generator.scapy_loader import load_scapy
from ouchi.measure.generator.streams import Stream, make_stream
from ouchi.measure.paths.path import mac_of
from ouchi.measure.paths.traffic import read_trial
from ouchi.measure.search.trial import Trial
from ouchi.vnf.images.small import build_image, require_tools
from ouchi.vnf.vm import ROUTES, GuestVm, VmConfig, VmPort, start_vm

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="DPDK wants root for its hugepages"),
    pytest.mark.usefixtures("pages"),
]

MACHINE = LocalMachine()
OURS = Instance(name="ouchi-test")
CPUS = (min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0)))
DIRECTIONS = (("left", "right"), ("right", "left"))
MORE_PAGES = 320  # of 2 MiB: 128 for the guest, the rest for the generator


@dataclass(frozen=True)
class Made:
    """What is made once: the guest's image, its hash, the generator's program."""

    image: str
    digest: str
    program: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    try:
        require_tools(MACHINE)
    except Failed as missing:
        pytest.fail(str(missing))
    folder = tmp_path_factory.mktemp("made")
    image = str(build_image(MACHINE, folder / "image", print).path)
    return Made(image, digest(image), build(MACHINE, Instance(state=str(folder)), print))


@pytest.fixture(scope="module")
def pages() -> Iterator[None]:
    with lent_hugepages():
        counter = Path("/proc/sys/vm/nr_hugepages")
        counter.write_text(str(int(counter.read_text()) + MORE_PAGES))
        yield


@dataclass(frozen=True)
class Routed:
    """A guest that routes, and the generator at both of its ports."""

    guest: GuestVm
    generator: Generator

    def trial(self, size: int, *, flows: int = 1, ttl: int = 64, pps: float = 2000.0, **other: str) -> Trial:
        """A second of traffic both ways. ``other``: headers that differ from those that are routed."""
        sent = [
            RoutedStream(
                with_ttl(make_stream(go, replace(headers(number), **other), size=size, flows=flows), ttl), go, come
            )
            for number, (go, come) in enumerate(DIRECTIONS)
        ]
        self.generator.load(sent)
        return read_trial(self.generator.run([pps] * 2, seconds=1.0, drain=0.5), sent, pps=pps * 2, seconds=1.0)

    def best(self, size: int, *, flows: int = 1, ttl: int = 64) -> Trial:
        """The first of three that lost nothing: an emulated guest that is held up for long drops frames."""
        for _ in range(3):
            trial = self.trial(size, flows=flows, ttl=ttl)
            if trial.lost == 0 and all(one.sent > 1000 for one in trial.streams):
                break
        return trial


def headers(number: int) -> Headers:
    """What a direction's frames say: to the guest's nearer port, from this side's network to the other's."""
    return Headers(
        src_mac=mac_of(number),
        dst_mac=mac_of(2 + number),
        src_ip=f"198.{18 + number}.0.1",
        dst_ip=f"198.{19 - number}.200.9",
        src_port=1024,
        dst_port=1024,
    )


def with_ttl(stream: Stream, ttl: int) -> Stream:
    """The stream with another time to live in its frames."""
    load_scapy()
    from scapy.layers.inet import IP
    from scapy.layers.l2 import Ether

    frames = []
    for frame in stream.frames:
        packet = Ether(frame)
        packet[IP].ttl = ttl
        del packet[IP].chksum
        frames.append(bytes(packet))
    return replace(stream, frames=tuple(frames))


def ports(folder: Path) -> tuple[VmPort, VmPort]:
    return VmPort(f"{folder}/left.sock", mac_of(2), mac_of(0)), VmPort(f"{folder}/right.sock", mac_of(3), mac_of(1))


def start(made: Made, folder: Path, mtu: int = 1500) -> GuestVm:
    shape = VmConfig(cpus=CPUS, kvm=False, mtu=mtu)
    env = {**OURS.environment, processes.SERVICE_MARK: "bench"}
    return start_vm(MACHINE, str(folder), 0, made.image, ports=ports(folder), config=shape, env=env)


@contextmanager
def routed(made: Made, folder: Path, mtu: int = 1500) -> Iterator[Routed]:
    """All of it, and what must be so at the end."""
    free = free_pages()
    started = time.monotonic()
    guest = start(made, folder, mtu)
    try:
        with Generator(MACHINE, made.program, str(folder), (CPUS[0], CPUS[0])) as generator:
            for number, side in enumerate(ports(folder)):
                wait_for_file(side.socket)
                generator.open(DIRECTIONS[number][0], f"net_vhost{number},iface={side.socket},client=1", mtu=mtu)
            guest.wait_ready()
            print(f"routes after {time.monotonic() - started:.1f} s")
            generator.wait_for_links(("left", "right"), 10)
            yield Routed(guest, generator)
    finally:
        guest.end()
    assert_nothing_left(folder, guest.pid)
    assert free_pages() == free
    assert digest(made.image) == made.digest


def assert_nothing_left(folder: Path, pid: int) -> None:
    assert not Path(f"/proc/{pid}").exists()
    assert {path.name for path in folder.iterdir()} <= {"guest0.log", "guest0.console", "generator.log"}


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def free_pages() -> int:
    return int(re.findall(r"HugePages_Free: +(\d+)", Path("/proc/meminfo").read_text())[0])


def wait_for_file(path: str) -> None:
    deadline = time.monotonic() + 10
    while not Path(path).exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


def test_it_routes_both_ways(made: Made, tmp_path: Path) -> None:
    with routed(made, tmp_path) as path:
        for size, flows in ((64, 1), (64, 1000), (1518, 3)):
            trial = path.best(size, flows=flows)
            for one in trial.streams:
                assert one.sent > 1000
                assert (one.lost, one.duplicated, one.reordered, one.corrupt) == (0, 0, 0, 0), (size, flows)
            assert trial.foreign == 0

        # A hop takes one from the time to live: of one nothing is left, and no error is sent.
        assert path.best(64, ttl=2).lost == 0
        # Neither frames for another MAC address are routed, nor packets for an unknown network.
        for trial in (path.trial(64, ttl=1), path.trial(64, dst_mac=mac_of(9)), path.trial(64, dst_ip="203.0.113.7")):
            assert trial.sent > 300  # of a sender that may be held up
            assert (trial.received, trial.foreign) == (0, 0)

        most = path.trial(64, pps=0)
        assert most.received > 1000
        print(f"{most.received:,} frames of 64 B routed in a second")
        assert affinities(path.guest.pid) == {"vCPU": {str(CPUS[1])}, "other": {str(CPUS[0])}}


def affinities(pid: int) -> dict[str, set[str]]:
    """Where the vCPU may run, and where all other threads may."""
    found: dict[str, set[str]] = {"vCPU": set(), "other": set()}
    for task in Path(f"/proc/{pid}/task").iterdir():
        kind = "vCPU" if (task / "comm").read_text().startswith("CPU ") else "other"
        found[kind] |= set(re.findall(r"Cpus_allowed_list:\t(.*)", (task / "status").read_text()))
    return found


def test_jumbo_frames(made: Made, tmp_path: Path) -> None:
    with routed(made, tmp_path, mtu=9000) as path:
        for size in (9000, 64):
            trial = path.best(size, flows=3)
            assert all(one.sent > 1000 and one.lost == one.corrupt == 0 for one in trial.streams), size


def test_nobody_comes_to_its_ports(made: Made, tmp_path: Path) -> None:
    guest = start(made, tmp_path)
    try:
        with pytest.raises(Failed, match="waits for both ports to be attached") as waited:
            guest.wait_ready(1)
        assert ROUTES in str(waited.value)
    finally:
        guest.end()
        guest.end()
    assert_nothing_left(tmp_path, guest.pid)


def test_qemu_is_killed(made: Made, tmp_path: Path) -> None:
    guest = start(made, tmp_path)
    try:
        wait_for_file(ports(tmp_path)[1].socket)
        os.kill(guest.pid, signal.SIGKILL)
        with pytest.raises(Failed, match="ended with status -9"):
            guest.wait_ready(10)
    finally:
        guest.end()
    assert_nothing_left(tmp_path, guest.pid)


def test_the_next_run_ends_what_a_killed_one_left(made: Made, tmp_path: Path) -> None:
    free = free_pages()
    left = start(made, tmp_path)
    try:
        wait_for_file(ports(tmp_path)[1].socket)
        assert [process.pid for process in processes.marked(OURS.name)] == [left.pid]
        # To its parent, which in truth is gone too, it is still to be collected: a zombie carries no mark.
        assert not processes.end(OURS.name, {"bench"}, polite_seconds=0.5)
        again = start(made, tmp_path)  # over the sockets and the config drive that are still there
        wait_for_file(ports(tmp_path)[1].socket)
        again.end()
    finally:
        left.end()
    assert_nothing_left(tmp_path, again.pid)
    assert free_pages() == free
