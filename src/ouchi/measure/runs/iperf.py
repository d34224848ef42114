"""iperf3 between two hosts on the kernel's bridge: what programs on sockets get, by TCP and by UDP.

TCP chooses its segments itself. Segmentation is offloaded as the kernel has it, so up to 64 KiB cross the bridge at a
time, and frames a second cannot be told. With UDP each datagram is one frame of the size asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ouchi.core.errors import BadInput, Failed, error
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine.background import Background, Launcher
from ouchi.measure.generator.imix import LEAST_SIZE
from ouchi.measure.generator.rates import FCS, l2_bits
from ouchi.measure.paths.kernel_bridge import Host

PACKAGE = "iperf3"
IDLE = 10
"""Seconds after which a server ends by itself that nobody comes to."""

_ETHERNET, _IPV4, _UDP = 14, 20, 8  # bytes of headers


@dataclass(frozen=True, slots=True)
class Measured:
    """What iperf3 measured.

    ``frame_size``: bytes with FCS, None with TCP. ``seconds``: how long the receiver received. ``received_bps``: bit/s
    received, of TCP's payload, or of UDP's whole frames. ``sent``, ``received`` and ``lost``: datagrams, None with TCP;
    what was on its way when the time was over is neither received nor lost.
    """

    protocol: Literal["tcp", "udp"]
    frame_size: int | None
    seconds: float
    received_bps: float
    sent: int | None = None
    received: int | None = None
    lost: int | None = None

    @property
    def received_pps(self) -> float | None:
        """Datagrams received a second; None with TCP."""
        return None if self.received is None or not self.seconds else self.received / self.seconds

    def to_json(self) -> dict[str, Any]:
        """A flat JSON object."""
        return {
            "protocol": self.protocol,
            "frame_size": self.frame_size,
            "seconds": self.seconds,
            "received_bps": self.received_bps,
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Measured:
        """The reverse of :meth:`to_json`."""
        return cls(**value)


def measure_tcp(
    machine: Launcher,
    hosts: tuple[Host, Host],
    folder: str,
    *,
    seconds: int,
    cpus: tuple[int, int],
    env: Mapping[str, str] | None = None,
) -> Measured:
    """One connection from the first host to the second, as fast as it goes.

    ``folder``: a private folder for the server's log. ``cpus``: where the client and the server run. ``env``: marks.
    Raises :class:`~ouchi.core.errors.Failed` with what iperf3 said.
    """
    return read_tcp(_run(machine, hosts, folder, seconds, cpus, env))


def measure_udp(
    machine: Launcher,
    hosts: tuple[Host, Host],
    folder: str,
    *,
    frame_size: int,
    seconds: int,
    cpus: tuple[int, int],
    env: Mapping[str, str] | None = None,
) -> Measured:
    """Frames of ``frame_size`` bytes (with FCS, without a VLAN tag), as many as the sender can; see :func:`measure_tcp`.

    Raises also :class:`~ouchi.core.errors.BadInput` for a size that a frame here cannot have, and
    :class:`~ouchi.core.errors.Failed` when iperf3 does not send that size.
    """
    payload = payload_of(frame_size, hosts[0].mtu)
    return read_udp(_run(machine, hosts, folder, seconds, cpus, env, "-u", "-b", "0", "-l", str(payload)), frame_size)


def payload_of(frame_size: int, mtu: int) -> int:
    """The bytes of payload that make a UDP datagram a frame of ``frame_size`` bytes with FCS. Raises BadInput."""
    most = mtu + _ETHERNET + FCS
    if not LEAST_SIZE <= frame_size <= most:
        expected = f"{LEAST_SIZE} to {most} bytes: MTU {mtu}, Ethernet header and FCS"
        raise BadInput(
            error("no frame has this size here", where="frame size", found=str(frame_size), expected=expected)
        )
    return frame_size - FCS - _ETHERNET - _IPV4 - _UDP


def read_tcp(told: Mapping[str, Any]) -> Measured:
    """iperf3's answer about TCP."""
    got = told["end"]["sum_received"]
    return Measured("tcp", None, float(got["seconds"]), float(got["bits_per_second"]))


def read_udp(told: Mapping[str, Any], frame_size: int) -> Measured:
    """iperf3's answer about UDP. Raises Failed when it sent frames of another size.

    Packets received are told by the receiver as those it expected, of which some were lost.
    """
    headers = FCS + _ETHERNET + _IPV4 + _UDP
    size = int(told["start"]["test_start"]["blksize"]) + headers
    if size != frame_size:
        claim = "iperf3 did not send the frames that it was asked for"
        raise Failed(error(claim, found=f"{size} bytes", expected=f"{frame_size} bytes"))
    end = told["end"]
    gone, came = end.get("sum_sent", end["sum"]), end.get("sum_received", end["sum"])
    seconds, lost = float(came["seconds"]), int(came["lost_packets"])
    received = int(came["packets"]) - lost
    pps = received / seconds if seconds else 0.0
    return Measured("udp", frame_size, seconds, l2_bits(pps, frame_size), int(gone["packets"]), received, lost)


def read_answer(stdout: str, stderr: str) -> dict[str, Any]:
    """What the client printed as JSON. Raises Failed with the error in it, or with what it said instead."""
    found: dict[str, Any]
    try:
        found = json.loads(stdout)
    except ValueError:
        said = [line for line in stderr.splitlines() if line.startswith("iperf3:")]  # a wrong option prints all others
        found = {"error": "; ".join(said) or stderr.strip()[-300:] or "it says nothing"}
    if "error" in found:
        raise Failed(error("iperf3 could not measure", found=str(found["error"])))
    return found


def _run(
    machine: Launcher,
    hosts: tuple[Host, Host],
    folder: str,
    seconds: int,
    cpus: tuple[int, int],
    env: Mapping[str, str] | None,
    *words: str,
) -> dict[str, Any]:
    """A server for one measurement, and its client."""
    near, far = hosts
    client = (*near.inside, "taskset", "--cpu-list", str(cpus[0]), "iperf3")
    server = (*far.inside, "taskset", "--cpu-list", str(cpus[1]), "iperf3")
    listen = ("--server", "--one-off", "--bind", far.address, "--idle-timeout", str(IDLE), "--forceflush")
    running = machine.start((*server, *listen), log=f"{folder}/iperf3.log", env=env)
    try:
        wait_for("iperf3's server", lambda: _listening(running), seconds=10, every=0.02)
        ask = ("--json", "--connect-timeout", "5000", "--time", str(seconds), "--client", far.address)
        answer = machine.run((*client, *ask, *words), timeout=seconds + 20, check=False, env=env)
        return read_answer(answer.stdout, answer.stderr)
    finally:
        running.end(seconds=1)


def _listening(server: Background) -> None:
    said = server.log_tail()
    if (status := server.status()) is not None:
        found = f"it ended with status {status}: {said[-300:]}"
        raise Failed(error("iperf3's server does not start", found=found, remedy=f"apt install {PACKAGE}"))
    if "listening" not in said:
        raise NotYet(said or "it says nothing")
