"""The form of the JSON documents that commands assemble, as dataclasses for their JSON Schema.

Documents that are one value (a plan, the facts, a run) have the type of that value instead. The test
``tests/unit/test_schema.py`` holds these against what the commands print.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ouchi.checks.diagnosis import FixEntry, Health
from ouchi.checks.model import Level, Result
from ouchi.checks.traffic import Measurement
from ouchi.core.errors import Finding
from ouchi.core.plain import STRICT
from ouchi.live.rates import Rates
from ouchi.parts.part import PartState
from ouchi.plan.values import Plan
from ouchi.rig.keeper import KeeperStatus
from ouchi.rig.overview import RigOverview
from ouchi.rig.states import SavedState
from ouchi.steps import Record
from ouchi.steps.engine import Difference
from ouchi.steps.journal import Scope


class Document:
    """A whole document; no other members are in it."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, Any]] = STRICT


@dataclass(frozen=True, slots=True)
class Event(Document):
    """A line of progress: what happened in a task. ``seconds`` that the task took, ``at`` since the command began."""

    kind: Literal["started", "progress", "changed", "nothing to do", "failed", "note"]
    stage: str
    task: str
    text: str
    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One host of several: its exit status, how long it took, and ``result``, what is printed for a single host."""

    name: str
    address: str
    status: int
    seconds: float
    findings: tuple[Finding, ...]
    result: Any


@dataclass(frozen=True, slots=True)
class Hosts(Document):
    """The output of a command for several hosts."""

    schema: Literal[1]
    hosts: tuple[HostEntry, ...]


@dataclass(frozen=True, slots=True)
class Error(Document):
    """Any command with ``--json`` that fails before it has a result: its exit status, and why."""

    schema: Literal[1]
    status: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class CheckFinding(Finding):
    """A finding of a check; ``fix``: what ``ouchi doctor --fix`` does about it."""

    fix: str = ""


@dataclass(frozen=True, slots=True)
class CheckEntry:
    """An evaluated check."""

    id: str
    level: Level
    essential: bool
    title: str
    result: Result
    found: str
    findings: tuple[CheckFinding, ...]


@dataclass(frozen=True, slots=True)
class PreviewTask:
    """A task of ``up``: what it would do, and what there is."""

    stage: str
    task: str
    would: Literal["change", "nothing", "unknown"]
    found: str
    to_do: str


@dataclass(frozen=True, slots=True)
class UpPreview(Document):
    """``ouchi up --dry-run --json``."""

    schema: Literal[2]
    site_file: str
    site_file_is_new: bool
    plan: Plan
    tasks: tuple[PreviewTask, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class TaskTime:
    """A finished task of ``up``; ``begin`` and ``seconds`` in seconds since its start."""

    stage: str
    task: str
    kind: Literal["changed", "nothing to do"]
    text: str
    begin: float
    seconds: float


@dataclass(frozen=True, slots=True)
class HopEntry:
    """Frames of verification on one hop; ``own``: of the endpoint's wire, not of the host."""

    name: str
    sent: int
    arrived: int
    own: bool
    lost: int


@dataclass(frozen=True, slots=True)
class Verification:
    """The checks, the measurements and what each hop carried meanwhile, at the end of ``up``."""

    checks: tuple[CheckEntry, ...]
    measurements: tuple[Measurement, ...]
    labels: tuple[str, ...]
    hops: tuple[HopEntry, ...]


@dataclass(frozen=True, slots=True)
class UpSummary(Document):
    """``ouchi up --json``, at its end; ``verified`` is null when ``--until`` ends it before."""

    schema: Literal[1]
    site: str
    seconds: float
    plan: Plan
    verified: Verification | None
    tasks: tuple[TaskTime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEntry(PartState):
    """A part of the host, with its state."""

    part: str
    stage: str


@dataclass(frozen=True, slots=True)
class Status(Document):
    """``ouchi status --json``."""

    schema: Literal[2]
    up: bool
    healthy: bool
    labels: tuple[str, ...]
    parts: tuple[PartEntry, ...]
    checks: tuple[CheckEntry, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many checks hold or are unknown, and how many findings there are of each severity."""

    ok: int
    unknown: int
    unknown_essential: int
    errors: int
    warnings: int
    infos: int


@dataclass(frozen=True, slots=True)
class Doctor(Document):
    """``ouchi doctor --json``."""

    schema: Literal[2]
    status: Literal[0, 1, 4]
    health: Health
    healthy: bool
    labels: tuple[str, ...]
    counts: Counts
    checks: tuple[CheckEntry, ...]
    fixes: tuple[FixEntry, ...]


@dataclass(frozen=True, slots=True)
class StepEntry:
    """A step of ``apply`` with its changes; ``after_reboot``: it cannot be made before."""

    step: str
    why: str
    after_reboot: bool
    changes: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Apply(Document):
    """``ouchi apply --json``; the last two members only without ``--dry-run``.

    ``previous``: changes of the plan before that are undone. ``reboot``: why one is needed. ``rolled_back``: when an
    earlier run was rolled back.
    """

    schema: Literal[1]
    steps: tuple[StepEntry, ...]
    previous: tuple[Difference, ...]
    reboot: tuple[str, ...]
    rolled_back: str
    rebooted: bool = False
    reboot_needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Undo(Document):
    """``ouchi undo --json``; the last four members only without ``--dry-run``. ``drifted``: changed by others since, and left."""

    schema: Literal[1]
    undone: tuple[Difference, ...]
    drifted: tuple[Difference, ...]
    reboot: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    status: int = 0
    rebooted: bool = False
    reboot_needed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalFile(Document):
    """``journal.json``: what was there before ouchi changed it, oldest first."""

    version: Literal[2]
    scope: Scope
    records: tuple[Record, ...]
    notes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SupportBundle(Document):
    """``ouchi support-bundle --json``: sizes in bytes, and why something is missing. ``path``: the archive."""

    schema: Literal[1]
    ouchi: str
    files: Mapping[str, int]
    missing: Mapping[str, str]
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPreview(Document):
    """``ouchi bench --dry-run --json``; members with a default only where they apply."""

    schema: Literal[2]
    path: str
    frame_sizes: tuple[str, ...]
    flows: int
    directions: int
    goals: tuple[str, ...]
    repeats: int
    searches: str
    pmd_cpus: tuple[int, ...]
    generator_cpus: tuple[int, ...]
    more_hugepages: str
    labels: tuple[str, ...]
    folder: str
    stream: str = ""
    stream_notes: tuple[str, ...] = ()
    search: str = ""
    guest: str = ""
    wires: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    extra_tests: tuple[str, ...] = ()
    guest_cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RigUp(KeeperStatus, Document):
    """``ouchi rig up --json``: the memory of each NUMA node in GiB; ``ssh -F ssh_config host`` logs in."""

    schema: Literal[1]
    numa_memory_gib: tuple[int, ...] = ()
    ssh_config: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RigStatus(RigOverview, Document):
    """``ouchi rig status --json``."""

    schema: Literal[1]


@dataclass(frozen=True, slots=True)
class RigSaved(Document):
    """``ouchi rig snapshot NAME --json``."""

    schema: Literal[1]
    saved: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RigStates(Document):
    """``ouchi rig snapshot --list --json``: times in seconds since 1970, the bytes of each state's memory."""

    schema: Literal[1]
    states: tuple[SavedState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Top(Rates, Document):
    """A line of ``ouchi top --json``."""

    schema: Literal[1]
