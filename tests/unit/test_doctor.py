"""The doctor's checks on hosts as cases tell them: what each finds, and that it finds nothing else."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from ouchi.checks.values import SUBJECTS, Diagnosis
from ouchi.core.errors import Severity
from ouchi.flows.doctor import CHECKS, State, diagnose
from tests.live import case, names


def found(diagnosis: Diagnosis) -> list[tuple[str, dict[str, Any]]]:
    """Every finding by its check, as cases write them."""
    return [
        (check.name, trouble.finding.to_json() | ({"mend": _plain(asdict(trouble.mend))} if trouble.mend else {}))
        for check in diagnosis.checks
        for trouble in check.answer.troubles
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("name", names())
def test_a_case(name: str) -> None:
    told = case(name)
    diagnosis = diagnose(told.live, told.target)
    seen = found(diagnosis)
    assert [check for check, _ in seen] == [one["check"] for one in told.finds], seen
    for expected, (_, finding) in zip(told.finds, seen, strict=True):
        for key, value in expected.items():
            if key == "mend":
                assert {part: finding["mend"][part] for part in value} == value
            elif key != "check":
                assert finding.get(key) == value, (key, finding)
        if "mend" in finding:
            assert "mend" in expected or "severity" in expected
    assert [check.name for check in diagnosis.in_state(State.UNKNOWN)] == list(told.unknown)
    severities = {one.get("severity") for one in told.finds}
    assert diagnosis.status == (1 if "error" in severities else 4 if "warning" in severities else 0)


@pytest.mark.parametrize("name", names())
def test_every_finding_says_all_that_it_should(name: str) -> None:
    told = case(name)
    for trouble in diagnose(told.live, told.target).troubles:
        finding = trouble.finding
        assert all((finding.claim, finding.where, finding.found, finding.expected, finding.remedy, finding.why)), (
            finding
        )
        assert "ouchi doctor --fix" in finding.remedy if trouble.mend else True
        assert finding.severity is not Severity.INFO or trouble.mend is None


def test_each_check_fires_in_a_case_and_holds_in_another() -> None:
    fires, holds = set(), set()
    for name in names():
        told = case(name)
        for check in diagnose(told.live, told.target).checks:
            if check.answer.state is State.FINDING:
                fires.add(check.name)
            if check.answer.state is State.OK:
                holds.add(check.name)
    every = {check.name for check in CHECKS}
    assert every - fires == set()
    assert every - holds == set()


def test_checks_have_names_of_their_own_and_known_subjects() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert list(dict.fromkeys(check.subject for check in CHECKS)) == list(SUBJECTS)
