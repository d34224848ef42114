"""The doctor's checks on cases of live hosts: each finds what the case names, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ouchi.checks.cpus import run_delay
from ouchi.checks.diagnosis import Diagnosis, Health
from ouchi.checks.model import LEVELS, Fix, Level, Observation, Result
from ouchi.checks.ovs.settings import HARMFUL
from ouchi.checks.registry import CHECKS, evaluate, needed
from ouchi.core.errors import Finding, Severity
from ouchi.flows.doctor import diagnose
from ouchi.live.host import MACHINE, READINGS, SWITCH
from ouchi.live.scheduling import Scheduling
from ouchi.plan.same_host import on_host
from ouchi.plan.saved import parse_plan, plan_json
from ouchi.plan.values import mask
from ouchi.steps.kinds import KINDS
from tests.live import case, names
from tests.plans import target_of


def found(diagnosis: Diagnosis) -> list[tuple[str, dict[str, Any]]]:
    """Every finding by the id of its check, as cases write them."""
    return [
        (check.id, problem.finding.to_json() | ({"fix": changes(problem.fix)} if problem.fix else {}))
        for check in diagnosis.checks
        for problem in check.problems
    ]


def changes(fix: Fix) -> list[list[str]]:
    """Kind, key and target of each change."""
    return [
        [change.kind, change.key, "\n".join(KINDS[change.kind].describe(change.key, change.state))]
        for change in fix.changes
    ]


@pytest.mark.parametrize("name", names())
def test_a_case(name: str) -> None:
    given = case(name)
    diagnosis = diagnose(given.live, given.target)
    seen = found(diagnosis)
    assert [check for check, _ in seen] == [one["check"] for one in given.finds], seen
    for expected, (_, finding) in zip(given.finds, seen, strict=True):
        for key, value in expected.items():
            if key != "check":
                assert finding.get(key) == value, (key, finding)
        if "fix" in finding:
            assert "fix" in expected or "severity" in expected
    assert [check.id for check in diagnosis.with_result(Result.UNKNOWN)] == list(given.unknown)
    severities = {one.get("severity") for one in given.finds}
    incomplete = any(check.essential for check in diagnosis.with_result(Result.UNKNOWN))
    assert diagnosis.status == (1 if "error" in severities or incomplete else 4 if "warning" in severities else 0)
    assert (diagnosis.health is Health.HEALTHY) is (not severities and not given.unknown)


@pytest.mark.parametrize("name", names())
def test_every_fix_is_planned_once(name: str) -> None:
    given = case(name)
    diagnosis = diagnose(given.live, given.target)
    fixes = [fix for _, fix in diagnosis.planned_fixes]
    assert all(problem.fix in fixes for problem in diagnosis.problems if problem.fix)
    assert [fix.name for fix in fixes] == list(dict.fromkeys(fix.name for fix in fixes))


@pytest.mark.parametrize("name", names())
def test_every_finding_is_complete(name: str) -> None:
    given = case(name)
    for problem in diagnose(given.live, given.target).problems:
        finding = problem.finding
        assert all((finding.claim, finding.where, finding.found, finding.expected, finding.remedy, finding.why)), (
            finding
        )
        assert "ouchi doctor --fix" in finding.remedy if problem.fix else True
        assert finding.severity is not Severity.INFO or problem.fix is None


def test_each_check_fails_in_a_case_and_holds_in_another() -> None:
    fails, holds = set(), set()
    for name in names():
        given = case(name)
        for check in diagnose(given.live, given.target).checks:
            if check.result is Result.FINDING:
                fails.add(check.id)
            if check.result is Result.OK:
                holds.add(check.id)
    every = {check.id for check in CHECKS}
    assert every - fails == set()
    assert every - holds == set()


def test_flow_offload_is_no_harm_with_a_nic_that_does_it() -> None:
    """mlx5 is among the NICs with which Open vSwitch's offload was validated."""
    offload = HARMFUL["hw-offload"]
    live = case("healthy").live
    assert not offload.loses("true", live, target_of("epyc-7713-nps1"))
    assert offload.loses("true", live, case("healthy").target)


def test_up_and_status_wait_for_no_sample() -> None:
    assert set(needed(LEVELS)) == {MACHINE, SWITCH}
    assert set(needed()) == set(READINGS)


@pytest.mark.parametrize("level", list(Level))
def test_a_level_has_the_checks_of_the_whole_at_that_level(level: Level) -> None:
    given = case("emulator-on-vcpus")
    every = evaluate(given.live, given.target)
    assert evaluate(given.live, given.target, (level,)) == tuple(one for one in every if one.level is level)


@pytest.mark.parametrize("name", names())
def test_a_saved_plan_gives_the_same(name: str) -> None:
    """``doctor --plan FILE`` needs neither site file nor the facts of when it was planned."""
    given = case(name)
    saved = parse_plan(json.dumps(plan_json(given.target)).encode(), "plan.json")
    diagnosis = diagnose(given.live, on_host(saved, given.target.facts))
    assert diagnosis == diagnose(given.live, given.target)


def test_a_pmd_thread_that_did_not_run_is_found_where_its_tick_counts() -> None:
    """The kernel counts a wait only when it ends, and a run without tick once a second."""
    given = case("healthy")
    tid = next(thread.tid for thread in given.live.threads if thread.pmd == 1)
    live = replace(given.live, scheduling={**given.live.scheduling, tid: Scheduling(0, 0, 0, 0, True)})
    assert [check.id for check in evaluate(live, given.target) if check.problems] == []
    seen = run_delay.evaluate(replace(live, nohz_full=()), given.target)
    assert isinstance(seen, Finding)
    assert seen.found == "pmd-c01/id:1: did not run in 0.5 s"


@pytest.mark.parametrize("key", ["pmd-sleep-max", "pmd-maxsleep"])
def test_a_pmd_thread_that_sleeps_may_wait_after_each_wake_up(key: str) -> None:
    given = case("healthy")
    waits = Scheduling(10**8, 2_500_000, 500, 1, True)
    live = replace(given.live, scheduling=dict.fromkeys(given.live.scheduling, waits))
    assert isinstance(run_delay.evaluate(live, given.target), Finding)
    switch = replace(live.switch, other_config={**live.switch.other_config, key: "100"})
    assert isinstance(run_delay.evaluate(replace(live, switch=switch), given.target), Observation)


def test_the_mask_of_the_main_thread_is_right_where_cpu_0_has_no_memory() -> None:
    """As rendered for kolla-ansible; everywhere else it costs new flows."""
    live = case("healthy").live
    for name, harmful in (("threadripper-3960x-memoryless", False), ("ryzen-5-3600", True)):
        target = target_of(name)
        value = mask(target.switch_cpus)
        assert HARMFUL["dpdk-lcore-mask"].loses(value, live, target) == harmful
        assert HARMFUL["dpdk-lcore-mask"].loses("0x1", live, target)
