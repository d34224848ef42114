"""Finding and ending the processes of an instance by the marks in their environment.

A supervised process has two marks: the instance and the service that it belongs to. Its children inherit both; a guest
started by libvirtd does not, because libvirt gives QEMU an environment of its own: it is found by its disk. Marks count only
on processes of root, of the caller and of the services' users: anybody can put them into an environment. Only processes
with both marks are signalled, and through a pidfd, so that a process ID that was reused meanwhile is safe.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import select
import signal
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path as RealPath

from ouchi.core import log
from ouchi.core.instance import MARK, Instance
from ouchi.core.log import LOCAL

SERVICE_MARK = "OUCHI_SERVICE"
"""The environment variable that says which service a process belongs to."""

SERVICE_USERS = ("mysql", "rabbitmq", "libvirt-qemu")
"""The users that services and guests run as, besides root."""

KILL_SECONDS = 5.0
"""How long a process may take to disappear after SIGKILL, in seconds."""

ROUNDS = 5
"""How often to look again for processes that were started while others were being ended."""


@dataclass(frozen=True, slots=True)
class Process:
    """A marked process: its process ID and its service."""

    pid: int
    service: str


def parse_environ(data: bytes) -> dict[str, str]:
    """The variables in the text of ``/proc/PID/environ``; the first of two equal names counts, as in ``getenv``."""
    variables: dict[str, str] = {}
    for entry in data.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals:
            variables.setdefault(os.fsdecode(name), os.fsdecode(value))
    return variables


def marked(instance: str) -> list[Process]:
    """All processes with this instance's mark and a service's, by process ID, without the caller."""
    found = (_process(int(name), instance) for name in os.listdir("/proc") if name.isdigit())
    return sorted((process for process in found if process), key=lambda process: process.pid)


def end(instance: str, services: Collection[str] | None = None, *, polite_seconds: float) -> list[Process]:
    """End all processes of these services (of all when None): SIGTERM, ``polite_seconds``, SIGKILL.

    They are ended in parallel; what they started meanwhile is ended too. Returns those that are left.
    """
    found: list[Process] = []
    for _ in range(ROUNDS):
        found = [process for process in marked(instance) if services is None or process.service in services]
        if not found:
            break
        _end(instance, found, polite_seconds)
    return found


def _end(instance: str, processes: Sequence[Process], polite_seconds: float) -> None:
    with contextlib.ExitStack() as opened:
        handles: set[int] = set()
        for process in processes:
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(process.pid)
                opened.callback(os.close, handle)
                # Checked again with the pidfd open: from here on it cannot mean another process.
                now = _process(process.pid, instance)
                if now and now.service == process.service:
                    handles.add(handle)
                    log.write(
                        LOCAL, "signal", ("SIGTERM" if polite_seconds else "SIGKILL", process.pid, process.service)
                    )
        if polite_seconds:
            handles = _signal(handles, signal.SIGTERM, polite_seconds)
        _signal(handles, signal.SIGKILL, KILL_SECONDS)


def _signal(handles: set[int], number: signal.Signals, seconds: float) -> set[int]:
    """Send a signal; return the pidfds whose processes have not ended within ``seconds``."""
    poll = select.poll()
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        poll.register(handle, select.POLLIN)
    deadline = time.monotonic() + seconds
    remaining = set(handles)
    while remaining and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(left * 1000):
            poll.unregister(handle)
            remaining.discard(handle)
    return remaining


def _process(pid: int, instance: str) -> Process | None:
    """The process if it has both marks; a zombie has no environment."""
    if pid == os.getpid():
        return None
    try:
        variables = parse_environ(RealPath(f"/proc/{pid}/environ").read_bytes())
        if variables.get(MARK) != instance or not variables.get(SERVICE_MARK) or not _may_be_ours(pid):
            return None
    except OSError:
        return None
    return Process(pid, variables[SERVICE_MARK])


def _may_be_ours(pid: int | str) -> bool:
    """False for other users' processes, and in a container on this machine, which may run an ouchi of its own.

    The real user ID counts: a program that changes its user keeps the environment of the user who started it.
    """
    users = {0, os.getuid()}
    for name in SERVICE_USERS:
        with contextlib.suppress(KeyError):
            users.add(pwd.getpwnam(name).pw_uid)
    real = re.search(r"^Uid:\s*(\d+)", RealPath(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    near = os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    return near and real is not None and int(real[1]) in users


def kill_guest(pid: int) -> None:
    """Kill a process of :func:`guests_of`. It may have ended already."""
    log.write(LOCAL, "signal", ("SIGKILL", pid, "qemu"))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def guests_of(instance: Instance) -> list[int]:
    """The process IDs of QEMU with a guest disk of this instance; libvirt starts it without the instance's mark."""
    disks = f"{instance.state}/nova/instances/".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                words = RealPath(f"/proc/{name}/cmdline").read_bytes()
                program = os.path.basename(os.readlink(f"/proc/{name}/exe"))
                if program.startswith("qemu-system-") and disks in words and _may_be_ours(name):
                    found.append(int(name))
    return found
