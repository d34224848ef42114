"""iperf3 as a client, and as a server for one measurement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ouchi.core.errors import Failed
from ouchi.core.waiting import NotYet, wait_for
from ouchi.machine import Machine
from ouchi.machine.background import Background, Launcher

PACKAGE = "iperf3"
IDLE_TIMEOUT = 10
"""Seconds after which a server without a client ends."""


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace and its address."""

    namespace: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """The command prefix that runs a program in the namespace."""
        return ("ip", "netns", "exec", self.namespace)


@dataclass(frozen=True, slots=True)
class TcpResult:
    """``seconds`` of receiving, and the payload received in bit/s."""

    seconds: float
    received_bps: float


@dataclass(frozen=True, slots=True)
class UdpResult:
    """Datagrams of ``payload_bytes``; those in flight at the end are neither received nor lost."""

    seconds: float
    payload_bytes: int
    sent: int
    received: int
    lost: int


def measure_tcp(
    machine: Machine,
    prefix: Sequence[str],
    address: str,
    *,
    seconds: int,
    env: Mapping[str, str] | None = None,
) -> TcpResult:
    """One TCP connection to the server at ``address``, by a client started with ``prefix``. Raises Failed."""
    return read_tcp(_ask(machine, prefix, address, seconds=seconds, env=env))


def measure_udp(
    machine: Machine,
    prefix: Sequence[str],
    address: str,
    *,
    seconds: int,
    payload_bytes: int,
    bps: int = 0,
    env: Mapping[str, str] | None = None,
) -> UdpResult:
    """UDP datagrams at ``bps`` bit/s of payload (0: as fast as the sender can); see :func:`measure_tcp`."""
    options = ("-u", "-b", str(bps), "-l", str(payload_bytes))
    return read_udp(_ask(machine, prefix, address, seconds=seconds, env=env, options=options))


@contextmanager
def one_server(
    machine: Launcher, prefix: Sequence[str], address: str, *, log: str, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A server for one measurement, listening on ``address``. Raises Failed with its output when it does not start."""
    options = ("--server", "--one-off", "--bind", address, "--idle-timeout", str(IDLE_TIMEOUT), "--forceflush")
    server = machine.start((*prefix, "iperf3", *options), log=log, env=env)
    try:
        wait_for("iperf3's server", lambda: _require_listening(server), seconds=10, every=0.02)
        yield
    finally:
        server.end(seconds=1)


def read_tcp(answer: Mapping[str, Any]) -> TcpResult:
    """The client's JSON output of a TCP measurement."""
    received = answer["end"]["sum_received"]
    return TcpResult(float(received["seconds"]), float(received["bits_per_second"]))


def read_udp(answer: Mapping[str, Any]) -> UdpResult:
    """The client's JSON output of a UDP measurement: the receiver counts the datagrams it expected, and those lost."""
    end = answer["end"]
    sent, received = end.get("sum_sent", end["sum"]), end.get("sum_received", end["sum"])
    lost = int(received["lost_packets"])
    return UdpResult(
        seconds=float(received["seconds"]),
        payload_bytes=int(answer["start"]["test_start"]["blksize"]),
        sent=int(sent["packets"]),
        received=int(received["packets"]) - lost,
        lost=lost,
    )


def read_answer(stdout: str, stderr: str) -> dict[str, Any]:
    """The client's JSON output. Raises Failed with the error in it, or with stderr where it is not JSON."""
    answer: dict[str, Any]
    try:
        answer = json.loads(stdout)
    except ValueError:
        errors = [line for line in stderr.splitlines() if line.startswith("iperf3:")]  # usage follows a wrong option
        answer = {"error": "; ".join(errors) or stderr.strip()[-300:] or "no output"}
    if "error" in answer:
        raise Failed.of("iperf3 could not measure", found=str(answer["error"]))
    return answer


def _ask(
    machine: Machine,
    prefix: Sequence[str],
    address: str,
    *,
    seconds: int,
    env: Mapping[str, str] | None,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    client = (*prefix, "iperf3", "--json", "--connect-timeout", "5000", "--time", str(seconds), "--client", address)
    result = machine.run((*client, *options), timeout=seconds + 30, check=False, env=env)
    return read_answer(result.stdout, result.stderr)


def _require_listening(server: Background) -> None:
    output = server.log_tail()
    if (status := server.status()) is not None:
        found = f"it ended with status {status}: {output[-300:]}"
        raise Failed.of("iperf3's server does not start", found=found, remedy=f"apt install {PACKAGE}")
    if "listening" not in output:
        raise NotYet(output or "no output")
