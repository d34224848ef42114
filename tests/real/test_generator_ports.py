"""The generator on every kind of port that needs no NIC: what is sent arrives, and what cannot be is refused."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import generators
import pytest
from generators import HEADERS, MARKS, Start, trial

from ouchi.machine.local import LocalMachine
from ouchi.measure.generator.client import RequestRejected
from ouchi.measure.generator.process import Generator, RoutedStream
from ouchi.measure.generator.streams import make_stream
from ouchi.measure.paths.traffic import read_trial
from ouchi.measure.search.trial import Trial

cable, pages, program, start = generators.cable, generators.pages, generators.program, generators.start  # fixtures
pytestmark = MARKS

PPS = 5000.0
AF_XDP = 44  # linux/socket.h; Python has no name for it
JUMBO = {"mtu": 9000}
JUMBO_RING = "framesz=9216,blocksz=73728,framecnt=512"  # eight frames in a block of whole pages


def both_ways(left: str, right: str, **about: Any) -> list[RoutedStream]:
    stream = make_stream("both", HEADERS, **about)
    return [RoutedStream(stream, left, right), RoutedStream(stream, right, left)]


def assert_all_arrived(found: Trial, *, least: float = 0.3) -> None:
    """All that was sent, which a held-up sender may have made less, but not nothing."""
    for one in found.streams:
        assert one.sent >= least * one.intended
        assert (one.received, one.lost, one.gaps) == (one.sent, 0, ())
        assert (one.duplicated, one.reordered, one.corrupt) == (0, 0, 0)
    assert found.foreign == 0


def close(generator: Generator, *ports: str) -> None:
    generator.load([])
    for port in ports:
        generator._client.request("close", port=port)


def carry(sender: Generator, tx_port: str, receiver: Generator, rx_port: str, flow: dict[str, Any]) -> None:
    """Send from one process to another, both in the same trial by number.

    The receiver takes the frames for its own: it sends the like of them into a port that drops them.
    """
    stream = make_stream("carried", HEADERS, size=flow.get("size", 64), flows=16)
    flows = [RoutedStream(stream, "sink", rx_port)]
    sender.load([RoutedStream(stream, tx_port, "", queue=flow.get("queue", 0))])
    receiver.load(flows)
    sent: list[dict[str, Any]] = []

    def send(_progress: dict[str, Any]) -> None:
        if not sent:
            sent.append(sender.run([PPS], seconds=0.5))

    result = receiver.run([PPS], seconds=2.0, drain=0.5, progress=send)
    assert result["trial"] == sent[0]["trial"]
    result["streams"][0]["tx"] = sent[0]["streams"][0]["tx"]
    assert_all_arrived(read_trial(result, flows, pps=PPS, seconds=0.5))


@pytest.mark.parametrize("server", ["vhost", "virtio-user"])
@pytest.mark.parametrize(("queues", "size"), [(1, 64), (2, 64), (1, 9000)])
def test_vhost(start: Start, tmp_path: Path, server: str, queues: int, size: int) -> None:
    """One process is the backend, another one the guest; each queue of both directions."""
    host, guest = start(cpus=(1, 0)), start()
    path = tmp_path / "vhost.sock"
    options = {"rx_queues": queues, "tx_queues": queues, **(JUMBO if size > 1518 else {})}
    as_client, as_server = (",client=1", ",server=1") if server == "virtio-user" else ("", "")
    host.open("back", f"net_vhost0,iface={path},queues={queues}{as_client}", **options)
    guest.open("front", f"net_virtio_user0,path={path},queues={queues},queue_size=256{as_server}", **options)
    host.wait_for_links(["back"], 5)
    for generator in (host, guest):
        generator.open("sink", "net_null0,no-rx=1", mtu=options.get("mtu", 1500))
    for queue in range(queues):
        carry(host, "back", guest, "front", {"size": size, "queue": queue})
        carry(guest, "front", host, "back", {"size": size, "queue": queue})
    close(guest, "front")
    close(host, "back")
    assert not path.exists()


@pytest.mark.parametrize(("queues", "size"), [(1, 64), (2, 64), (1, 9000)])
def test_memif_in_one_process(start: Start, tmp_path: Path, queues: int, size: int) -> None:
    generator = start()
    options = {"rx_queues": queues, "tx_queues": queues, **(JUMBO if size > 1518 else {})}
    for number, (name, role) in enumerate((("left", "server"), ("right", "client"))):
        generator.open(name, f"net_memif{number},{memif(role, tmp_path)}", **options)
    generator.wait_for_links(["left", "right"], 5)
    flows = both_ways("left", "right", size=size)
    last = [RoutedStream(flow.stream, flow.tx_port, flow.rx_port, queue=queues - 1) for flow in flows]
    assert_all_arrived(trial(generator, last, PPS, seconds=0.5))
    close(generator, "left", "right")
    assert not (tmp_path / "memif.sock").exists()


def memif(role: str, folder: Path) -> str:
    return f"role={role},id=0,socket={folder}/memif.sock,socket-abstract=no"


def test_memif_between_processes(start: Start, tmp_path: Path) -> None:
    server, client = start(cpus=(1, 0)), start()
    server.open("left", f"net_memif0,{memif('server', tmp_path)}")
    client.open("right", f"net_memif0,{memif('client', tmp_path)}")
    server.wait_for_links(["left"], 5)
    for generator in (server, client):
        generator.open("sink", "net_null0,no-rx=1")
    carry(server, "left", client, "right", {})
    carry(client, "right", server, "left", {})
    close(client, "right")
    close(server, "left")
    assert not (tmp_path / "memif.sock").exists()


def test_memif_refusals(start: Start, tmp_path: Path) -> None:
    server, other = start(), start()
    with pytest.raises(RequestRejected, match="Failed to connect socket"):
        other.open("early", f"net_memif0,{memif('client', tmp_path)}")
    server.open("left", f"net_memif0,{memif('server', tmp_path)}")
    with pytest.raises(RequestRejected, match="Address already in use"):
        other.open("second", f"net_memif0,{memif('server', tmp_path)}")
    with pytest.raises(RequestRejected, match="zero-copy is not supported"):
        other.open("quick", f"net_memif0,{memif('client', tmp_path)},zero-copy=yes")
    other.open("right", f"net_memif1,{memif('client', tmp_path)}")
    server.wait_for_links(["left"], 5)


def why_no_af_xdp() -> str:
    """Why this machine cannot have such a port; empty when it can."""
    folder = subprocess.run(
        ["pkg-config", "--variable=libdir", "libdpdk"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not list(Path(folder).glob("librte_net_af_xdp.*")):
        return "this DPDK was built without af_xdp"
    try:
        socket.socket(AF_XDP, socket.SOCK_RAW).close()
    except OSError as reason:
        if reason.errno == errno.EAFNOSUPPORT:
            return "this kernel was built without CONFIG_XDP_SOCKETS"
        raise
    return ""


def test_af_xdp(start: Start, cable: tuple[str, str]) -> None:
    if reason := why_no_af_xdp():
        pytest.skip(reason)
    generator = start()
    for number, name in enumerate(("left", "right")):
        generator.open(name, f"net_af_xdp{number},iface={cable[number]}")
    assert_all_arrived(trial(generator, both_ways("left", "right", flows=16), PPS, seconds=0.5, drain=0.3))
    # Last, for what is refused takes the program off the interface that the first one receives by.
    with pytest.raises(RequestRejected, match="Failed to create xsk socket"):
        generator.open("again", f"net_af_xdp2,iface={cable[0]}")
    close(generator, "left", "right")
    for end in cable:
        assert (
            "xdp" not in subprocess.run(["ip", "link", "show", end], capture_output=True, text=True, check=True).stdout
        )


def test_af_packet_with_two_queues(start: Start, cable: tuple[str, str]) -> None:
    """The kernel spreads the flows over both; that one queue is looked at before the other reorders nothing."""
    generator = start()
    for number, name in enumerate(("left", "right")):
        generator.open(name, f"net_af_packet{number},iface={cable[number]},qpairs=2", rx_queues=2, tx_queues=2)
    flows = both_ways("left", "right", flows=100)
    found = trial(
        generator, [flows[0], RoutedStream(flows[1].stream, "right", "left", queue=1)], PPS, seconds=0.5, drain=0.3
    )
    assert_all_arrived(found)


def test_af_packet_with_long_frames(start: Start, cable: tuple[str, str]) -> None:
    generator = start()
    with pytest.raises(RequestRejected, match="cannot be given that MTU"):  # the interface has 1500
        generator.open("left", f"net_af_packet0,iface={cable[0]},{JUMBO_RING}", **JUMBO)
    for end in cable:
        subprocess.run(["ip", "link", "set", end, "mtu", "9000"], check=True)
    with pytest.raises(RequestRejected, match="cannot be given that MTU"):  # its ring would cut them off
        generator.open("left", f"net_af_packet0,iface={cable[0]}", **JUMBO)
    for number, name in enumerate(("left", "right")):
        generator.open(name, f"net_af_packet{number},iface={cable[number]},{JUMBO_RING}", **JUMBO)
    assert_all_arrived(trial(generator, both_ways("left", "right", size=9000), 1000.0, seconds=0.5, drain=0.3))


def test_workers_that_share_cpus(start: Start) -> None:
    """Three workers on two CPUs: each sends for one and receives for another, and nothing is counted wrong."""
    generator = start(cpus=(0, 0, 1, 1))
    generator.open("left", "net_ring0", worker=2)
    generator.open("right", "net_ring1", worker=0)
    stream = make_stream("shared", HEADERS, flows=16)
    flows = [RoutedStream(stream, "left", "left", worker=0), RoutedStream(stream, "right", "right", worker=1)]
    assert_all_arrived(trial(generator, flows, PPS, seconds=1.0, drain=0.3))
    assert_all_arrived(trial(generator, flows, 0, count=200_000, drain=0.3))


def test_a_backend_without_a_guest_sends_nothing(start: Start, tmp_path: Path) -> None:
    generator = start()
    for name, device in (
        ("server", f"net_vhost0,iface={tmp_path}/s"),
        ("client", f"net_vhost1,iface={tmp_path}/c,client=1"),
    ):
        assert not generator.open(name, device).up
        found = trial(generator, [RoutedStream(make_stream("alone", HEADERS), name, name)], PPS, seconds=0.2)
        (one,) = found.streams
        assert (one.sent, one.lost, one.received) == (0, 0, 0)
    close(generator, "server", "client")
    assert not (tmp_path / "s").exists()


def test_a_socket_of_another_else_is_left_alone(start: Start, tmp_path: Path) -> None:
    first, second = start(), start()
    path = tmp_path / "vhost.sock"
    first.open("back", f"net_vhost0,iface={path}")
    for device in (f"net_vhost0,iface={path}", f"net_virtio_user0,path={path},server=1,queues=1"):
        with pytest.raises(RequestRejected, match="exists already: another process listens on it"):
            second.open("other", device)
    second.open("front", f"net_virtio_user0,path={path},queues=1")
    first.wait_for_links(["back"], 5)


def test_a_socket_that_nobody_serves(start: Start, tmp_path: Path) -> None:
    generator = start()
    path = tmp_path / "left-over.sock"
    with closing(socket.socket(socket.AF_UNIX)) as gone:
        gone.bind(str(path))
    with pytest.raises(RequestRejected, match="Connection refused"):
        generator.open("front", f"net_virtio_user0,path={path},queues=1")
    with pytest.raises(RequestRejected, match="stale"):
        generator.open("back", f"net_vhost0,iface={path}")
    assert path.exists()
    path.unlink()
    generator.open("back", f"net_vhost0,iface={path}")


@pytest.mark.parametrize("order", ["backend first", "guest first"])
def test_both_ends_in_one_process_are_refused(start: Start, tmp_path: Path, order: str) -> None:
    """Each would wait for the other one: DPDK has no way out of it."""
    generator = start()
    path = tmp_path / "vhost.sock"
    if order == "guest first":
        helper = start()
        helper.open("back", f"net_vhost0,iface={path}")
        generator.open("front", f"net_virtio_user0,path={path},queues=1")
        device = f"net_vhost1,iface={path},client=1"
    else:
        generator.open("back", f"net_vhost0,iface={path}")
        device = f"net_virtio_user0,path={path},queues=1"
    with pytest.raises(RequestRejected, match="must be in different processes"):
        generator.open("other", device)
    generator.open("ring", "net_ring0")


def test_the_other_end_may_be_killed(start: Start, tmp_path: Path, program: str) -> None:
    """Its backend continues without a client and accepts the next guest."""
    host = start(cpus=(1, 0))
    path = tmp_path / "vhost.sock"
    host.open("back", f"net_vhost0,iface={path}")
    host.open("sink", "net_null0,no-rx=1")
    folder = tmp_path / "killed"
    folder.mkdir()
    killed = Generator(LocalMachine(), program, str(folder), (0, 1), env={"ASAN_OPTIONS": "detect_leaks=0"})
    try:
        killed.open("front", f"net_virtio_user0,path={path},queues=1")
        host.wait_for_links(["back"], 5)
        host.load([RoutedStream(make_stream("cut", HEADERS), "back", "")])
        host.run([PPS], seconds=1.0, progress=once(lambda: kill(killed)))
    finally:
        killed.close()
    assert not host.port("back").up
    guest = start()
    guest.open("front", f"net_virtio_user0,path={path},queues=1,queue_size=256")
    guest.open("sink", "net_null0,no-rx=1")
    host.wait_for_links(["back"], 5)
    guest.load([RoutedStream(make_stream("first", HEADERS), "sink", "")])
    guest.run([PPS], seconds=0.1)  # as many trials as the host has had
    carry(host, "back", guest, "front", {})
    carry(guest, "front", host, "back", {})


def once(what: Callable[[], None]) -> Callable[[dict[str, Any]], None]:
    done: list[bool] = []

    def progress(_reported: dict[str, Any]) -> None:
        if not done:
            done.append(True)
            what()

    return progress


def kill(generator: Generator) -> None:
    os.killpg(generator._process.pid, signal.SIGKILL)
