"""The shape of JSON documents that ouchi assembles from several values, as dataclasses for their JSON Schema.

Documents that are one value (the plan, the facts, a diagnosis, a run) have the type of that value instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ouchi.core.errors import Finding
from ouchi.core.plain import STRICT
from ouchi.plan.values import Plan


@dataclass(frozen=True, slots=True)
class Event:
    """A line of progress on stderr: what happened in which stage and task; ``seconds`` that the task took, ``at`` since the start."""

    kind: Literal["started", "progress", "changed", "nothing to do", "failed", "note"]
    stage: str
    task: str
    text: str
    seconds: float
    at: float

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT


@dataclass(frozen=True, slots=True)
class HostResult:
    """One host of several: its exit status, how long it took, and what the command prints for a single host."""

    name: str
    address: str
    status: int
    seconds: float
    findings: tuple[Finding, ...]
    result: Any


@dataclass(frozen=True, slots=True)
class HostResults:
    """The output of a command for several hosts."""

    schema: Literal[1]
    hosts: tuple[HostResult, ...]

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT


@dataclass(frozen=True, slots=True)
class UpTask:
    """A task of ``up`` and what it would do."""

    stage: str
    task: str
    will: Literal["change", "nothing", "unknown"]
    text: str


@dataclass(frozen=True, slots=True)
class UpDryRun:
    """``ouchi up --dry-run --json``."""

    schema: Literal[1]
    site_file: str
    site_file_is_new: bool
    plan: Plan
    tasks: tuple[UpTask, ...]
    findings: tuple[Finding, ...]

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT


@dataclass(frozen=True, slots=True)
class TaskTime:
    """A finished task of ``up``; ``begin`` and ``seconds`` in seconds."""

    stage: str
    task: str
    kind: Literal["changed", "nothing to do"]
    text: str
    begin: float
    seconds: float


@dataclass(frozen=True, slots=True)
class VerifiedCheck:
    """A check of the live host."""

    name: str
    ok: bool
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """iperf3 over one path: TCP and UDP rates in bit/s, datagrams sent and lost."""

    path: str
    seconds: float
    tcp_bps: float
    udp_offered_bps: float
    udp_received_bps: float
    udp_payload_bytes: int
    udp_sent: int
    udp_lost: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The checks and measurements at the end of ``up``."""

    checks: tuple[VerifiedCheck, ...]
    measurements: tuple[Measurement, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpSummary:
    """``ouchi up --json``, on stdout at its end; null for what an earlier stage than ``--until`` leaves out."""

    schema: Literal[1]
    site: str | None
    seconds: float
    plan: Plan | None
    verified: Verified | None
    tasks: tuple[TaskTime, ...]

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT


@dataclass(frozen=True, slots=True)
class PartStatus:
    """A line of ``ouchi status``."""

    part: str
    kind: str
    layer: Literal["host", "dataplane", "cloud", "servers"]
    state: str
    ok: bool
    found: str
    expected: str
    detail: str


@dataclass(frozen=True, slots=True)
class Status:
    """``ouchi status --json``."""

    schema: Literal[1]
    up: bool
    healthy: bool
    labels: tuple[str, ...]
    parts: tuple[PartStatus, ...]
    findings: tuple[Finding, ...]

    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT
