"""What else runs on this machine and would be in the way; nothing of it is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ouchi.core.errors import BadInput, Finding, error
from ouchi.core.instance import Instance
from ouchi.machine import Machine, processes
from ouchi.parts import clouds, device, ovs
from ouchi.parts.settings import PORTS
from ouchi.parts.supervise import Status, Supervisor
from ouchi.steps.journal import Journal

SERVICES = {
    "keystone": "keystone-api",
    "glance": "glance-api",
    "placement": "placement-api",
    "nova": "nova-api",
    "neutron": "neutron-api",
    "rabbitmq": "rabbitmq",
    "epmd": "epmd",
    "erlang": "rabbitmq",
}
"""The service that listens on each port."""

DISK_MIB = 2500
"""What packages, OpenStack's environment, the image and the databases take on a fresh machine."""


def check_disk(machine: Machine, folder: str) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` when the state folder's disk cannot hold what a first run needs."""
    free = int(machine.run(("df", "-Pm", folder)).stdout.split("\n")[1].split()[3])
    if free < DISK_MIB:
        raise BadInput(
            error(
                "the disk is too full",
                where=folder,
                found=f"{free} MiB free",
                expected=f"at least {DISK_MIB} MiB",
                remedy=f"make room on the disk that holds {folder}, then: ouchi up",
            )
        )


def check_others(
    machine: Machine, instance: Instance, journal: Journal, supervisor: Supervisor, bridges: Iterable[str]
) -> None:
    """Raise :class:`~ouchi.core.errors.BadInput` for every port, device and file that is in the way."""
    running = {name for name, state in supervisor.states().items() if state.status in (Status.RUNNING, Status.STARTING)}
    running |= {process.service for process in processes.marked(instance.name)}  # of a killed supervisor
    findings = [*_taken_ports(machine, running), *clouds.unreadable(machine)]
    findings += [
        error(
            f"the network device {name} is already in use by an Open vSwitch that is not ours",
            where=f"/sys/class/net/{name}",
            found="a device that ouchi has not made",
            expected="no other userspace datapath and no bridge of that name in this network namespace",
            remedy="stop the other Open vSwitch, then: ouchi up",
        )
        for name in (ovs.DATAPATH, *bridges)
        if machine.exists(f"/sys/class/net/{name}") and not device.is_ours(journal, name)
    ]
    if findings:
        raise BadInput(findings)


def _taken_ports(machine: Machine, running: set[str]) -> list[Finding]:
    listeners = parse_listeners(machine.run(("ss", "-Hltnp")).stdout)
    return [
        error(
            f"port {port} is already taken",
            where=f"TCP port {port} on loopback, for {name}",
            found=listeners[port],
            expected="a free port",
            remedy=(
                "stop the socket unit that `systemctl list-sockets` names, then: ouchi up"
                if listeners[port] == "systemd (process 1)"
                else "stop that program (or let it use another port), then: ouchi up"
            ),
        )
        for name, port in PORTS.items()
        if port in listeners and SERVICES[name] not in running
    ]


def parse_listeners(text: str) -> dict[int, str]:
    """Listening TCP ports and who holds them, from ``ss -Hltnp``."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 4 or not (port := re.search(r":(\d+)$", words[3])):
            continue
        holder = re.search(r'\(\("([^"]+)",pid=(\d+)', line)
        found[int(port[1])] = f"{holder[1]} (process {holder[2]})" if holder else "a program of another namespace"
    return found
