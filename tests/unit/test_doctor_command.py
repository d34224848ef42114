"""``ouchi doctor`` as a whole: its site file, exit status and output, and ``--fix``."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ouchi.checks.diagnosis import Diagnosis, FixEntry
from ouchi.checks.model import CheckResult, Fix, Level, Observation, Problem, judge, ok, unknown
from ouchi.cli.doctor import command
from ouchi.core.errors import BadInput, Finding, error, info, warning
from ouchi.core.instance import Instance
from ouchi.flows import doctor
from ouchi.flows.doctor import diagnose, site_in_use
from ouchi.flows.hosts import HostResult, exit_status, summary
from ouchi.live.host import READINGS
from ouchi.machine.local import LocalMachine
from ouchi.plan.load import read_target
from ouchi.plan.saved import plan_json
from ouchi.report.doctor import doctor_text
from ouchi.steps import Lasts, engine, sysfs
from ouchi.steps.engine import Difference
from ouchi.steps.journal import Journal, Scope, open_journal
from tests.live import case


def problem(fix: Fix | None = None, finding: Finding | None = None) -> Problem:
    return Problem(finding or warning("something"), fix)


def diagnosis(*seen: Observation, essential: bool = False) -> Diagnosis:
    results = (
        CheckResult(f"kernel.{number}", Level.LOSS, f"check {number}", one.result, one.found, one.problems, essential)
        for number, one in enumerate(seen)
    )
    return Diagnosis((), tuple(results))


# --- fixes


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_journal(LocalMachine(), Instance(host=f"{tmp_path}/host"), Scope.MACHINE)


def test_fixes_are_shown_made_and_undone(journal: Journal, tmp_path: Path) -> None:
    governor, done = tmp_path / "governor", tmp_path / "done"
    governor.write_text("powersave\n")
    done.write_text("performance\n")
    fix = Fix("governor", tuple(sysfs.value(str(path), "performance", lasts=Lasts.REBOOT) for path in (governor, done)))
    given = diagnosis(ok(), judge([problem(fix), problem()], ""), judge([problem(fix)], ""))
    difference = Difference("sysfs", str(governor), ("powersave",), ("performance",))
    expected = FixEntry("kernel.1", "governor", "until the next boot", False, (difference,), ())
    assert doctor.run_fixes(journal, given, make=False) == (expected,)
    assert governor.read_text() == "powersave\n"
    assert not (tmp_path / "host").exists()
    assert doctor.run_fixes(journal, given, make=True) == (replace(expected, made=True),)
    assert governor.read_text() == "performance\n"
    assert doctor.run_fixes(journal, given, make=True) == (replace(expected, differences=(), made=True),)
    engine.undo(journal)
    assert governor.read_text() == "powersave\n"


def test_what_cannot_be_changed_does_not_stop_the_others(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("0-3\n")
    changes = tuple(sysfs.value(f"{tmp_path}/{name}", "0", lasts=Lasts.REBOOT) for name in ("no/irq", "there"))
    (made,) = doctor.run_fixes(journal, diagnosis(judge([problem(Fix("interrupts", changes))], "")), make=True)
    (failure,) = made.failures
    assert failure.startswith(f"{tmp_path}/no/irq: ")
    assert (tmp_path / "there").read_text() == "0\n"
    assert [record.key for record in journal.records()] == [f"{tmp_path}/there"]


# --- the command


@pytest.fixture
def diagnoses(monkeypatch: pytest.MonkeyPatch) -> list[Diagnosis]:
    """The diagnoses of ``examine``, one after the other."""
    found: list[Diagnosis] = []
    monkeypatch.setattr(doctor, "examine", lambda *_: found.pop(0))
    return found


@pytest.mark.parametrize(
    ("answers", "status", "head"),
    [
        ((ok(),), 0, "healthy: 1 check holds"),
        ((ok(), unknown("no")), 0, "healthy with reservations: 1 check holds, 1 could not be evaluated"),
        ((judge([info("x")], ""),), 0, "healthy with reservations: 1 remark, 0 checks hold"),
        ((judge([warning("x")], ""), ok()), 4, "warnings: 1 warning, 1 check holds"),
        ((judge([warning("x"), error("y")], ""),), 1, "failures: 1 failure, 1 warning, 0 checks hold"),
    ],
)
def test_exit_status_and_headline(
    diagnoses: list[Diagnosis], answers: tuple[Observation, ...], status: int, head: str
) -> None:
    diagnoses += [diagnosis(*answers)] * 2
    done = CliRunner().invoke(command, [])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (status, head)
    plain = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    assert (plain["schema"], plain["status"], plain["healthy"]) == (2, status, status == 0)
    assert [check["result"] for check in plain["checks"]] == [str(answer.result) for answer in answers]


@pytest.mark.parametrize(
    ("answers", "health", "head"),
    [
        ((ok(),), "healthy", "healthy: 1 check holds"),
        (
            (ok(), unknown("no")),
            "incomplete",
            "incomplete: 1 check holds, 1 could not be evaluated (1 essential)",
        ),
        (
            (judge([warning("x")], ""), unknown("no")),
            "incomplete",
            "incomplete: 1 warning, 0 checks hold, 1 could not be evaluated (1 essential)",
        ),
        (
            (judge([error("x")], ""), unknown("no")),
            "failures",
            "failures: 1 failure, 0 checks hold, 1 could not be evaluated (1 essential)",
        ),
    ],
)
def test_an_essential_check_that_is_unknown_is_never_healthy(
    diagnoses: list[Diagnosis], answers: tuple[Observation, ...], health: str, head: str
) -> None:
    diagnoses += [diagnosis(*answers, essential=True)] * 2
    done = CliRunner().invoke(command, [])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0 if health == "healthy" else 1, head)
    plain = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    assert (plain["health"], plain["healthy"]) == (health, health == "healthy")
    assert plain["counts"]["unknown_essential"] == plain["counts"]["unknown"]


def test_without_root_it_says_what_was_not_looked_at_and_how_to_look() -> None:
    given = case("without-root")
    found = diagnose(given.live, given.target)
    (label,) = found.labels
    assert label == "without root not all of interrupts, ovs, guests was looked at; next: sudo ouchi doctor"
    assert (found.health, found.status) == ("incomplete", 1)


@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_that_failed_is_never_healthy(reading: str) -> None:
    given = case("healthy")
    found = diagnose(replace(given.live, missing={reading: "no answer"}), given.target)
    assert found.status == 1
    assert found.to_json()["healthy"] is False


@pytest.fixture
def fixable(diagnoses: list[Diagnosis], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that two runs of ``examine`` find with a wrong value and then with the right one."""
    monkeypatch.setattr("ouchi.machine.privilege.need_root", lambda: None)
    monkeypatch.setattr(doctor, "LOCK", f"{tmp_path}/lock")
    journal = open_journal(LocalMachine(), Instance(host=f"{tmp_path}/host"), Scope.MACHINE)
    monkeypatch.setattr(doctor, "open_journal", lambda *_: journal)
    file = tmp_path / "governor"
    file.write_text("powersave\n")
    fix = Fix("the governor", (sysfs.value(str(file), "performance", lasts=Lasts.REBOOT),))
    diagnoses += [diagnosis(judge([problem(fix)], "")), diagnosis(ok("performance"))]
    return file


def test_fix_makes_fixes_and_examines_again(fixable: Path) -> None:
    done = CliRunner().invoke(command, ["--fix"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1] == "fixed: the governor (until the next boot)"
    assert fixable.read_text() == "performance\n"


def test_a_dry_run_shows_the_difference_and_changes_nothing(fixable: Path) -> None:
    done = CliRunner().invoke(command, ["--fix", "--dry-run"])
    assert done.exit_code == 4  # as without --fix
    assert done.stdout.splitlines()[1] == "would fix: the governor (until the next boot)"
    assert "governor: powersave → performance" in " ".join(done.stdout.split())
    assert fixable.read_text() == "powersave\n"
    alone = CliRunner().invoke(command, ["--dry-run"])
    assert (alone.exit_code, "--dry-run needs --fix" in alone.stderr) == (2, True)


def test_the_site_file_in_use_is_used(tmp_path: Path) -> None:
    instance = Instance("test", f"{tmp_path}/state", f"{tmp_path}/run", f"{tmp_path}/logs")
    machine = LocalMachine()
    assert site_in_use(machine, instance) == ""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "site.yaml").write_text("name: x\n")
    assert site_in_use(machine, instance) == ""  # down keeps the file
    (tmp_path / "run" / "ovs").mkdir(parents=True)
    assert site_in_use(machine, instance) == f"{tmp_path}/state/site.yaml"


def test_a_saved_plan_is_compared_with_this_machine(tmp_path: Path) -> None:
    machine = LocalMachine()
    target = read_target(machine, f"{tmp_path}/ouchi.yaml")
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan_json(target)))
    done = CliRunner().invoke(command, ["--plan", str(file), "--json"])
    plain = json.loads(done.stdout)
    assert done.exit_code == plain["status"]
    expected = doctor.examine(machine, Instance(), lambda: replace(target, new=False))
    assert [check["id"] for check in plain["checks"]] == [check.id for check in expected.checks]
    with pytest.raises(BadInput, match="--plan and --site"):
        CliRunner().invoke(command, ["--plan", str(file), "--site", str(file)], catch_exceptions=False)


def test_this_machine_is_examined_without_changing_it(tmp_path: Path) -> None:
    class ReadOnly(LocalMachine):
        def write(self, *_args: object, **_more: object) -> None:
            raise AssertionError("changed")

        make_folder = remove = poke = append = write  # type: ignore[assignment]

    instance = Instance("ouchi-unit-test", f"{tmp_path}/state", f"{tmp_path}/run", f"{tmp_path}/logs")
    machine = ReadOnly()
    found = doctor.examine(machine, instance, lambda: read_target(machine, f"{tmp_path}/ouchi.yaml"))
    assert {"memory", "cpus", "ovs"} <= {check.subject for check in found.checks}
    assert not (tmp_path / "ouchi.yaml").exists()


@pytest.mark.parametrize(("statuses", "all_together"), [((), 0), ((0, 4), 4), ((4, 1), 1), ((4, 3, 1), 3), ((0, 0), 0)])
def test_of_several_hosts_a_failure_is_worse_than_warnings(statuses: tuple[int, ...], all_together: int) -> None:
    outcomes = [HostResult(f"host{number}", "", 1.0, None, status) for number, status in enumerate(statuses)]
    assert exit_status(outcomes) == all_together
    assert ("! host" in summary(outcomes)) is (4 in statuses)


# --- the report


def test_a_diagnosis_for_people() -> None:
    given = case("governor")
    text = doctor_text(diagnose(given.live, given.target), width=140, colour=False)
    assert text.splitlines()[0] == "warnings: 1 warning, 64 checks hold"
    assert re.search(
        r"^cpus +! +the governor of CPUs 2,8 may lower the clock +governor powersave, schedutil$", text, re.MULTILINE
    )
    assert re.search(r"^ +✔ +no idle state deeper than C1 is enabled +at most C1 on 2-5,8-11$", text, re.MULTILINE)
    assert "  why:      a PMD thread at a lower clock forwards fewer packets a second" in text
    assert "  next:     ouchi doctor --fix (until the next reboot); permanently: ouchi apply" in text


def test_checks_unknown_for_one_reason_are_one_line() -> None:
    given = case("without-root")
    text = doctor_text(diagnose(given.live, given.target), width=1000, colour=False)
    line, *_ = [line for line in text.splitlines() if "only root may query Open vSwitch" in line]
    assert "?  DPDK is initialised in Open vSwitch; other_config has the plan's keys;" in line


LINES = (Difference("sysfs", "/x", ("1",), ("0",)), Difference("sysfs", "/y", (), ("0",)))


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (
            FixEntry("kernel.0", "x", "until undone", True, LINES, ()),
            "fixed: x (until undone)\n  /x: 1 → 0\n  /y: nothing → 0",
        ),
        (FixEntry("kernel.0", "x", "until undone", True, (), ()), "nothing to fix: x (until undone)"),
        (FixEntry("kernel.0", "x", "until undone", True, LINES, ("/y: no",)), "fixed in part: x"),
        (FixEntry("kernel.0", "x", "until undone", True, LINES[:1], ("/x: no",)), "not fixed: x"),
        (FixEntry("kernel.0", "x", "until undone", True, LINES, ("/y: no",)), "\n  failed: /y: no"),
        (FixEntry("kernel.0", "x", "until undone", False, LINES, ()), "would fix: x"),
    ],
)
def test_fixes_are_reported(made: FixEntry, line: str) -> None:
    text = doctor_text(replace(diagnosis(ok()), fixes=(made,)), width=80, colour=False)
    assert line in text
