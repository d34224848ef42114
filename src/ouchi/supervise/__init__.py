"""Keeping programs running: systemd where it is PID 1, supervisor elsewhere, behind one small protocol.

Every service runs in the foreground under its supervisor, is restarted when it dies, writes its output to
a log file of its own and carries ouchi's mark in its environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """What a supervisor says of a service."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    FAILED = "failed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Service:
    """One program to keep running.

    ``argv[0]`` is an absolute path. ``user`` must exist. ``stop_seconds`` bounds a polite stop (SIGTERM) before
    SIGKILL. ``group`` says whether a stop ends its children too (false for libvirtd: guests outlive it).
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    stop_seconds: int = 10
    group: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """A service as it is now: main process, seconds since its start, starts after the first, last exit in words."""

    name: str
    status: Status
    pid: int = 0
    uptime: float = 0.0
    restarts: int = 0
    detail: str = ""


class Supervisor(Protocol):
    """What systemd and supervisor are both asked to do."""

    kind: str
    """``systemd`` or ``supervisor``."""

    def start(self, services: Sequence[Service]) -> list[str]:
        """Start every service that is not running with exactly this definition, side by side, without waiting
        for it to be ready; a changed definition restarts it. Returns the names started or restarted."""

    def restart(self, name: str) -> None:
        """Stop and start one service."""

    def stop(self, names: Sequence[str]) -> None:
        """Stop services, side by side, each within its ``stop_seconds``; unknown names are fine."""

    def shutdown(self) -> None:
        """Stop everything of ours, and the supervisor itself where ouchi started it; forget the definitions."""

    def states(self) -> dict[str, State]:
        """Every service of ours by name; empty when the supervisor is not running."""

    def log(self, name: str) -> str:
        """The path of a service's log file."""
