"""Guests: QEMU processes with their names, interfaces and memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ouchi.facts.reading import pairs

VHOST_USER = "vhost-user"

_NAME = re.compile(r"-name (?:guest=)?([^, ]+)")
_NETDEV = re.compile(r'-netdev (?:\{"type":"|type=)?([a-z0-9-]+)')
_SOCKET = re.compile(r"-chardev socket,id=charnet[0-9]{1,4},path=([^, ]+)")
_STATE = re.compile(r"/([^/]+)\.xml:<domstatus state=['\"]([a-z]{1,20})['\"](?: reason=['\"]([a-z ]{1,40})['\"])?")
_MEMORY = re.compile(r"^/proc/([0-9]{1,9})/smaps\w*:(?:Shared|Private)_Hugetlb:\s+([0-9]{1,15}) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Guest:
    """A QEMU process and its guest.

    ``domain`` is libvirt's name, ``server`` nova's (empty where only root may read it); ``ours``: its disk is ouchi's.
    ``interfaces`` are the types of its network backends, ``sockets`` the paths of its vhost-user sockets.
    ``hugepages_mib``: memory mapped in hugepages; None where only root may read it. ``state``, ``reason``: as libvirt keeps
    them (``paused``, ``user``), empty where they are not known.
    """

    pid: int
    domain: str
    ours: bool
    server: str = ""
    interfaces: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    hugepages_mib: int | None = None
    state: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The server's name, else libvirt's."""
        return self.server or self.domain


def parse_guests(host: Mapping[str, str], state: str) -> tuple[Guest, ...]:
    """Return the guests in the sections of the script; ``state`` is the state folder of ouchi's instance.

    ``guests`` has lines ``/proc/PID/cmdline:ARGUMENTS``, ``servers`` the lines with nova's names in libvirt's state
    files, ``states`` the lines there with libvirt's, ``guest memory`` those of ``smaps`` for hugepages.
    """
    servers = {
        path.rpartition("/")[2].removesuffix(".xml"): name.rpartition("nova:name>")[2]
        for path, name in pairs(host.get("servers", ""), ":").items()
    }
    states = {name: (state, reason) for name, state, reason in _STATE.findall(host.get("states", ""))}
    memory: dict[int, int] = {}
    for pid, kib in _MEMORY.findall(host.get("guest memory", "")):
        memory[int(pid)] = memory.get(int(pid), 0) + int(kib)
    found = []
    for line in host.get("guests", "").split("\n"):
        path, _, arguments = line.partition(":")
        pid = path.removeprefix("/proc/").removesuffix("/cmdline")
        if not (pid.isascii() and pid.isdigit() and len(pid) < 10):
            continue
        match = _NAME.search(arguments)
        domain = match[1] if match else ""
        status, reason = states.get(domain, ("", ""))
        found.append(
            Guest(
                pid=int(pid),
                domain=domain,
                ours=f"{state}/nova/instances/" in arguments,
                server=servers.get(domain, ""),
                interfaces=tuple(_NETDEV.findall(arguments)),
                sockets=tuple(_SOCKET.findall(arguments)),
                hugepages_mib=memory[int(pid)] // 1024 if int(pid) in memory else None,
                state=status,
                reason=reason,
            )
        )
    return tuple(found)
