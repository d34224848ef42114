"""Service supervision: systemd where it is PID 1, supervisor elsewhere, behind one small protocol.

Every service runs in the foreground under its supervisor, is restarted when it dies, writes its output to
a log file of its own and carries ouchi's mark in its environment.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ouchi.core.errors import Failed, Finding, error
from ouchi.core.instance import Instance
from ouchi.machine import Reader
from ouchi.machine.processes import SERVICE_MARK

CONFIGURATION = "OUCHI_CONFIGURATION"
"""The variable that holds the digest of what a program reads only when it starts: another digest is another
definition, and so a restart."""


def digest(value: object) -> str:
    """A short fingerprint of a configuration."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


class ServiceStatus(StrEnum):
    """The state of a service, as its supervisor reports it."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    FAILED = "failed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Service:
    """One program to keep running.

    ``argv[0]`` is an absolute path. ``user`` must exist. ``stop_seconds`` bounds a polite stop (SIGTERM) before
    SIGKILL. ``group`` says whether a stop ends its children too (false for libvirtd: guests outlive it). ``umask``: what
    it makes is closed to other users, unless it says otherwise.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    stop_seconds: int = 10
    group: bool = True
    umask: int = 0o027


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as it is now: main process, seconds since its start, starts after the first, last exit in words."""

    name: str
    status: ServiceStatus
    pid: int = 0
    uptime: float = 0.0
    restarts: int = 0
    detail: str = ""


class Supervisor(Protocol):
    """The operations that systemd and supervisor have in common."""

    kind: str
    """``systemd`` or ``supervisor``."""

    def start(self, services: Sequence[Service]) -> list[str]:
        """Start every service that is not running with exactly this definition, in parallel, without waiting
        for it to be ready; a changed definition restarts it. Returns the names started or restarted."""

    def restart(self, name: str) -> None:
        """Stop and start one service."""

    def defines(self, service: Service) -> bool:
        """True when this is the definition with which the service was last started."""

    def stop(self, names: Sequence[str]) -> None:
        """Stop services in parallel, each within its ``stop_seconds``; unknown names are fine."""

    def shutdown(self) -> None:
        """Stop everything of ours, and the supervisor itself where ouchi started it; forget the definitions."""

    def states(self) -> dict[str, ServiceState]:
        """Every service of ours by name; empty when the supervisor is not running."""

    def log(self, name: str) -> str:
        """The path of a service's log file."""


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where services find programs: the caller's own environment never reaches them."""


def environment_of(service: Service, instance: Instance) -> dict[str, str]:
    """Return the environment of a service's process: a plain base, the service's own variables, and both marks."""
    base = {"PATH": PATH, "LANG": "C.UTF-8"}
    return {**base, **service.environment, **instance.environment, SERVICE_MARK: service.name}


def check(machine: Reader, services: Sequence[Service]) -> None:
    """Refuse definitions that no supervisor can run, all of them at once. Raises :class:`Failed`."""
    users = {line.partition(":")[0] for line in machine.read("/etc/passwd").splitlines()}
    names = [service.name for service in services]
    findings: list[Finding] = []
    for service in services:
        where = f"service {service.name!r}"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]*", service.name) or service.name == "supervisord":
            findings.append(error("a service cannot have this name", where=where, expected="letters, digits, _ . @ -"))
        if names.count(service.name) > 1:
            findings.append(error("two services have one name", where=where))
        if not service.argv or not service.argv[0].startswith("/") or not machine.exists(service.argv[0]):
            program = service.argv[0] if service.argv else "nothing"
            findings.append(error("the program is not there", where=where, found=program, expected="an absolute path"))
        if service.user not in users:
            findings.append(error("the user does not exist", where=where, found=service.user))
        if service.stop_seconds < 1:
            findings.append(error("no time to stop", where=where, expected="stop_seconds of at least 1"))
        findings += [
            error("an environment variable cannot have this name", where=where, found=name)
            for name in service.environment
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
        ]
        # The text itself may be secret, so it is not shown.
        texts = {f"argument {n}": text for n, text in enumerate(service.argv)} | dict(service.environment)
        findings += [
            error("a line break or NUL cannot be passed on", where=f"{where}, {name}")
            for name, text in texts.items()
            if re.search(r"[\n\r\0]", text)
        ]
    if findings:
        raise Failed(findings)
