"""``ouchi status``: the state of every part, and differences from the plan. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from ouchi.checks.model import LEVELS, CheckResult, Level, Result
from ouchi.checks.registry import evaluate, needed
from ouchi.checks.verdict import labels_of, unknown_findings
from ouchi.core.errors import BadInput, Finding, error, info, warning
from ouchi.live.host import Live, read
from ouchi.machine import Machine
from ouchi.machine.processes import guests_of
from ouchi.parts.context import Context
from ouchi.parts.host_status import HostStatus, PartLine, findings_of
from ouchi.parts.part import PartState
from ouchi.parts.registry import all_parts
from ouchi.parts.stages import STAGES
from ouchi.parts.walk import look_at
from ouchi.plan.load import read_target

__all__ = ["HostStatus", "read_status", "under_way"]

SECONDS = 9.0
"""How long all parts may take together; on a healthy host they take one or two."""


def read_status(at: Context, busy: str = "") -> HostStatus:
    """The state of every part of an instance, within some ten seconds. Needs root.

    The plan is the one that ``up`` made, made afresh. ``busy`` says who is changing the instance (:func:`under_way`).
    """
    notes = [info(f"{busy} is running: what is shown here may change at any moment")] if busy else []
    if not at.running and not guests_of(at.instance):
        return HostStatus(False, (), (), (*notes, *_left_over(at)))
    at.authenticate_early()
    no_plan = _plan(at)
    with ThreadPoolExecutor(1) as pool:
        live = pool.submit(read, at.machine, at.instance, needed(LEVELS), SECONDS)
        states = look_at(at, all_parts(), SECONDS)
    supervisor = _supervisor(at)
    lines = [supervisor, *(PartLine(part.stage, part.name, states[part.name]) for part in all_parts())]
    lines.sort(key=lambda line: STAGES.index(line.stage))
    findings = [*_supervisor_down(supervisor), *no_plan, *findings_of(all_parts(), states)]
    if no_plan:
        return HostStatus(True, (), tuple(lines), (*findings, *notes))
    checks = _check(at, live.result(), states)
    findings += [*(finding for check in checks for finding in check.findings), *unknown_findings(checks)]
    labels = labels_of(at.target.plan, emulated=at.settings.emulated)
    return HostStatus(True, labels, tuple(lines), (*findings, *notes), checks)


def under_way(machine: Machine, lock: str) -> str:
    """Who holds the lock file of ``up`` and ``down``, as its text has it; empty when nobody does."""
    try:
        text, locks = machine.read(lock).strip(), machine.read("/proc/locks")
    except OSError:
        return ""
    pid = re.search(r"(\d+)$", text)
    held = pid and re.search(rf"FLOCK +ADVISORY +WRITE +{pid[1]} ", locks)
    return text if held else ""


def _supervisor(at: Context) -> PartLine:
    """The supervisor itself."""
    name = "systemd" if at.supervisor.kind == "systemd" else "supervisord"
    if at.states:
        return PartLine("host", name, PartState(True, "running", f"{len(at.states)} services"))
    found = "services run on, but nothing restarts them" if at.running - {name} else "no process"
    return PartLine("host", name, PartState(False, "not running", found, "start it"))


def _supervisor_down(line: PartLine) -> list[Finding]:
    return [] if line.state.ok else [error(f"{line.name} does not run", found=line.state.found, remedy="ouchi up")]


def _plan(at: Context) -> tuple[Finding, ...]:
    """Make the plan from the site file as ``up`` kept it; findings where that cannot be done."""
    kept = at.instance.kept_site
    if not at.machine.exists(kept):
        return (
            error("there is no plan", where=kept, expected="the site file as ouchi up keeps it", remedy="ouchi up"),
        )
    try:
        at.planned = read_target(at.machine, kept, fit=False)
    except BadInput as reason:
        return reason.findings
    return ()


def _check(at: Context, live: Live, states: Mapping[str, PartState]) -> tuple[CheckResult, ...]:
    """Evaluate the checks of a host that is up.

    While a part is wrong, its own finding says what does not run, and only placement is checked.
    """
    wrong = any(state.ok is False for state in states.values())
    results = evaluate(live, at.target, (Level.PLACED,) if wrong else LEVELS)
    return tuple(result for result in results if result.result is not Result.UNKNOWN) if wrong else results


def _left_over(at: Context) -> list[Finding]:
    """What a run that did not get far, or a crash, has left changed on a host that is not up."""
    kept = dict.fromkeys(record.step for record in at.journal.records())
    if not kept:
        return []
    return [warning("changes of ouchi are still in place", found=", ".join(kept), remedy="ouchi up, or: ouchi down")]
