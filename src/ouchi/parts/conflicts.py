"""Other programs on this machine that conflict with a part. They are reported and left alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ouchi.core.errors import Finding, error
from ouchi.machine.reserved_ports import unreserved
from ouchi.parts.context import Context
from ouchi.parts.part import Listener, Part


def conflicts(at: Context, parts: Sequence[Part]) -> list[Finding]:
    """A finding for every port, device and file that is in the way, and for a disk that is too full."""
    listeners = [listener for part in parts for listener in part.ports]
    open_to_all = unreserved(at.machine) if listeners else []
    return [*open_to_all, *_taken_ports(at, listeners), *(finding for part in parts for finding in part.conflicts(at))]


def _taken_ports(at: Context, listeners: Sequence[Listener]) -> list[Finding]:
    taken = parse_listeners(at.machine.run(("ss", "-Hltnp")).stdout)
    return [
        error(
            f"port {listener.port} is already taken",
            where=f"TCP port {listener.port} on loopback, for {listener.name}",
            found=taken[listener.port],
            expected="a free port",
            remedy=(
                "stop the socket unit that `systemctl list-sockets` names, then: ouchi up"
                if taken[listener.port] == "systemd (process 1)"
                else "stop that program (or let it use another port), then: ouchi up"
            ),
        )
        for listener in listeners
        if listener.port in taken and listener.service not in at.running
    ]


def parse_listeners(text: str) -> dict[int, str]:
    """Listening TCP ports and the program that holds each, from ``ss -Hltnp``."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4 or not (port := re.search(r":(\d+)$", words[3])):
            continue
        holder = re.search(r'\(\("([^"]+)",pid=(\d+)', line)
        found[int(port[1])] = f"{holder[1]} (process {holder[2]})" if holder else "a program of another namespace"
    return found
