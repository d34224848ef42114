"""``ouchi doctor`` as a whole: its site file, exit status and output, and ``--fix``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ouchi.checks.diagnosis import Diagnosis, FixResult
from ouchi.checks.fix import fix
from ouchi.checks.model import CheckResult, Fix, Level, Observation, Problem, failed, ok, unknown
from ouchi.cli.doctor import command
from ouchi.core.errors import Finding, error, info, warning
from ouchi.core.instance import Instance
from ouchi.flows import doctor
from ouchi.flows.doctor import diagnose, site_in_use
from ouchi.flows.hosts import HostResult, exit_status, summary
from ouchi.machine import CommandFailed, Result
from ouchi.machine.local import LocalMachine
from ouchi.plan.load import read_target
from ouchi.report.doctor import doctor_text
from tests.live import case


class Recording(LocalMachine):
    """This machine below a folder; commands are noted and not run."""

    def __init__(self, fails: Sequence[str] = ()) -> None:
        super().__init__()
        self.ran: list[tuple[str, ...]] = []
        self.fails = fails

    def run(self, argv: Sequence[str], **_more: Any) -> Result:
        self.ran.append(tuple(argv))
        if argv[0] in self.fails:
            raise CommandFailed(Result(tuple(argv), 1, "", "no such thread"))
        return Result(tuple(argv), 0, "", "")


def problem(fix: Fix | None = None, finding: Finding | None = None) -> Problem:
    return Problem(finding or warning("something"), fix)


# --- fix


def test_only_other_values_are_written(tmp_path: Path) -> None:
    governor, done = tmp_path / "governor", tmp_path / "done"
    governor.write_text("powersave\n")
    done.write_text("performance\n")
    planned = Fix("governor", pokes=((str(governor), "performance"), (str(done), "performance")))
    (made,) = fix(Recording(), [problem(planned), problem(planned), problem()])
    assert governor.read_text() == "performance"
    assert made == FixResult("governor", (f"{governor}: powersave → performance",), ())
    assert fix(Recording(), [problem(planned)]) == (FixResult("governor", (), ()),)


def test_what_the_kernel_refuses_is_reported(tmp_path: Path) -> None:
    planned = Fix("interrupts", pokes=((f"{tmp_path}/none", "0"), (f"{tmp_path}/none2", "0")))
    (made,) = fix(Recording(), [problem(planned)])
    assert made.done == ()
    assert made.failed == (
        f"{tmp_path}/none: No such file or directory",
        f"{tmp_path}/none2: No such file or directory",
    )


def test_a_write_without_effect_is_a_failure(tmp_path: Path) -> None:
    class Deaf(Recording):
        def poke(self, path: object, text: str) -> None:
            pass

    (tmp_path / "affinity").write_text("0-1")
    (made,) = fix(Deaf(), [problem(Fix("interrupts", pokes=((f"{tmp_path}/affinity", "0"),)))])
    assert made.failed == (f"{tmp_path}/affinity: 0-1 → 0-1",)


def test_files_come_before_commands_and_only_when_they_differ(tmp_path: Path) -> None:
    file = tmp_path / "run" / "unit.d" / "90-ouchi.conf"
    planned = Fix("irqbalance", files=((str(file), "text"),), commands=(("systemctl", "restart"),))
    machine = Recording()
    assert fix(machine, [problem(planned)])[0].done == (f"{file} written", "systemctl restart")
    assert file.read_text() == "text"
    assert fix(machine, [problem(planned)])[0].done == ("systemctl restart",)


def test_a_command_that_fails_stops_those_after_it() -> None:
    planned = Fix("thread", commands=(("taskset", "1"), ("chmod", "2")))
    machine = Recording(fails=("taskset",))
    (made,) = fix(machine, [problem(planned)])
    assert machine.ran == [("taskset", "1")]
    assert made.failed == ("taskset 1: exit status 1: no such thread",)


# --- the command


@pytest.fixture
def diagnoses(monkeypatch: pytest.MonkeyPatch) -> list[Diagnosis]:
    """The diagnoses of ``examine``, one after the other."""
    found: list[Diagnosis] = []
    monkeypatch.setattr(doctor, "examine", lambda *_: found.pop(0))
    return found


def diagnosis(*answers: Observation) -> Diagnosis:
    results = (
        CheckResult(f"kernel.{number}", Level.LOSS, f"check {number}", one.result, one.found, one.problems)
        for number, one in enumerate(answers)
    )
    return Diagnosis((), tuple(results))


@pytest.mark.parametrize(
    ("answers", "status", "head"),
    [
        ((ok(),), 0, "healthy: 1 check holds"),
        ((ok(), unknown("no")), 0, "healthy: 1 check holds, 1 could not be evaluated"),
        ((failed(info("x")),), 0, "healthy: 1 remark, 0 checks hold"),
        ((failed(warning("x")), ok()), 4, "warnings: 1 warning, 1 check holds"),
        ((failed(warning("x"), error("y")),), 1, "failures: 1 failure, 1 warning, 0 checks hold"),
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


def test_fix_makes_fixes_and_diagnoses_again(
    diagnoses: list[Diagnosis], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ouchi.machine.privilege.need_root", lambda: None)
    file = tmp_path / "governor"
    file.write_text("powersave")
    planned = Fix("the governor", pokes=((str(file), "performance"),))
    diagnoses += [diagnosis(failed(problem(planned))), diagnosis(ok("performance"))]
    done = CliRunner().invoke(command, ["--fix"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1] == "fixed: the governor"
    assert file.read_text() == "performance"


def test_the_site_file_in_use_is_used(tmp_path: Path) -> None:
    instance = Instance("test", f"{tmp_path}/state", f"{tmp_path}/run", f"{tmp_path}/logs")
    machine = LocalMachine()
    assert site_in_use(machine, instance) == ""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "site.yaml").write_text("name: x\n")
    assert site_in_use(machine, instance) == ""  # down keeps the file
    (tmp_path / "run" / "ovs").mkdir(parents=True)
    assert site_in_use(machine, instance) == f"{tmp_path}/state/site.yaml"


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
    assert text.splitlines()[0] == "warnings: 1 warning, 47 checks hold"
    assert re.search(
        r"^cpus +! +the governor of CPUs 2,8 may lower the clock +governor powersave, schedutil$", text, re.MULTILINE
    )
    assert re.search(r"^ +✔ +no idle state deeper than C1 is enabled +at most C1 on 1-5,7-11$", text, re.MULTILINE)
    assert "  why:      a PMD thread at a lower clock forwards fewer packets a second" in text
    assert "  next:     ouchi doctor --fix (until the next reboot); permanently: ouchi apply" in text


def test_checks_unknown_for_one_reason_are_one_line() -> None:
    given = case("without-root")
    text = doctor_text(diagnose(given.live, given.target), width=1000, colour=False)
    line, *_ = [line for line in text.splitlines() if "only root may query Open vSwitch" in line]
    assert "?  DPDK is initialised in Open vSwitch; other_config has the plan's keys;" in line


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (FixResult("x", ("a",), ()), "fixed: x"),
        (FixResult("x", (), ()), "nothing to fix: x"),
        (FixResult("x", ("a",), ("b: no",)), "fixed in part: x\n  b: no"),
        (FixResult("x", (), ("b: no",)), "not fixed: x\n  b: no"),
    ],
)
def test_fixes_are_reported(made: FixResult, line: str) -> None:
    text = doctor_text(replace(diagnosis(ok()), fixes=(made,)), width=80, colour=False)
    assert line in text
