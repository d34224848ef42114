"""Measure ``inspect`` of remote hosts: one, and fifty in parallel, each a port of a real sshd on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory  # noqa: TID251  # the measurement's own files, not the host's

from benchmarks.command import Ouchi, Ran
from benchmarks.cycle import Notify, Record
from ouchi.core.errors import Failed, error
from tests.real.sshd import Sshd, free_port

RUNS = 10
SERVERS, PORTS = 5, 10  # one sshd listens on 16 ports at most
MANY_RUNS = 3
SESSION = "Starting session"
"""What sshd logs for each session: one round trip."""


def measure_remote(ouchi: Ouchi, record: Record, say: Notify) -> None:
    """Measure ``inspect`` locally and over ssh alternately, then of many hosts at once. Raises :class:`~ouchi.core.errors.Failed`."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Sshd(ports=free_ports(PORTS - 1))) for _ in range(SERVERS)]
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ouchi-remote-")))
        measure_one(ouchi, servers[0], record)
        say(f"ouchi inspect, locally and over ssh: {RUNS} runs")
        site, config = write_site(folder, servers), write_config(folder, servers)
        for _ in range(MANY_RUNS):
            ran = ouchi.run("inspect", "--json", "--site", site, "--ssh-config", config, seconds=300)
            check_all(ran)
            record.add("remote-many", ran.seconds)
            record.add("remote-many-cpu", ran.cpu)
        say(f"ouchi inspect of {SERVERS * PORTS} hosts: {MANY_RUNS} runs")
    record.remarks.append(
        f"The {SERVERS * PORTS} hosts are ports of {SERVERS} sshd on this machine: it does their work as well, logins included"
    )


def measure_one(ouchi: Ouchi, server: Sshd, record: Record) -> None:
    """Measure this machine locally and over ssh; the first run of each fills the page cache and does not count."""
    for number in range(RUNS + 1):
        here = ouchi.run("inspect", "--json", seconds=60)
        before = count_sessions(server)
        there = ouchi.run("inspect", "--json", "--address", server.address, "--ssh-config", server.config, seconds=60)
        if number:
            record.add("inspect", here.seconds)
            record.add("remote-inspect", there.seconds)
            record.add("remote-round-trips", count_sessions(server) - before)


def free_ports(count: int) -> list[int]:
    """Return unused TCP ports on loopback."""
    return [free_port() for _ in range(count)]


def write_config(folder: Path, servers: Sequence[Sshd]) -> str:
    """Write an ssh client configuration with every server's key and ports; return its path."""
    known = " ".join(str(server.folder / "known_hosts") for server in servers)
    keys = "".join(f"IdentityFile {server.folder / 'user'}\n" for server in servers)
    path = folder / "config"
    path.write_text(
        f"UserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\n{keys}IdentitiesOnly yes\nIdentityAgent none\n",
        encoding="utf-8",
    )
    return os.fspath(path)


def write_site(folder: Path, servers: Sequence[Sshd]) -> str:
    """Write a site file with a host at each port; return its path."""
    ports = [port for server in servers for port in (server.port, *server.ports)]
    hosts = "".join(f"  - {{name: host-{n}, address: 'root@127.0.0.1:{port}'}}\n" for n, port in enumerate(ports))
    path = folder / "sites.yaml"
    path.write_text(f"name: many\nnetworks: []\nservers: []\nhosts:\n{hosts}", encoding="utf-8")
    return os.fspath(path)


def count_sessions(server: Sshd) -> int:
    """Return the number of sessions that sshd has served."""
    return server.log.read_text(encoding="utf-8").count(SESSION)


def check_all(ran: Ran) -> None:
    """Raise Failed unless every host was inspected."""
    inspected = [bool(host["result"]) for host in json.loads(ran.stdout)["hosts"]]
    if inspected != [True] * (SERVERS * PORTS):
        raise Failed(error("not every host was inspected", found=f"{sum(inspected)} of {len(inspected)}"))
