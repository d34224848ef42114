"""``ouchi doctor`` as a whole: which site it takes, how it ends, what it prints, what ``--fix`` does."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ouchi.checks.fix import fix
from ouchi.checks.values import Answer, Mend, Mended, Trouble, holds, unknown, wrong
from ouchi.cli.doctor import command
from ouchi.core.errors import Finding, error, info, warning
from ouchi.core.instance import Instance
from ouchi.flows import doctor
from ouchi.flows.doctor import Checked, Diagnosis, diagnose, kept_here
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


def trouble(mend: Mend | None = None, finding: Finding | None = None) -> Trouble:
    return Trouble(finding or warning("something"), mend)


# --- fix


def test_what_is_not_so_is_written_and_what_is_so_is_left(tmp_path: Path) -> None:
    governor, done = tmp_path / "governor", tmp_path / "done"
    governor.write_text("powersave\n")
    done.write_text("performance\n")
    mend = Mend("governor", pokes=((str(governor), "performance"), (str(done), "performance")))
    (mended,) = fix(Recording(), [trouble(mend), trouble(mend), trouble()])
    assert governor.read_text() == "performance"
    assert mended == Mended("governor", (f"{governor}: powersave → performance",), ())
    assert fix(Recording(), [trouble(mend)]) == (Mended("governor", (), ()),)


def test_what_the_kernel_refuses_is_said(tmp_path: Path) -> None:
    mend = Mend("interrupts", pokes=((f"{tmp_path}/none", "0"), (f"{tmp_path}/none2", "0")))
    (mended,) = fix(Recording(), [trouble(mend)])
    assert mended.done == ()
    assert mended.failed == (
        f"{tmp_path}/none: No such file or directory",
        f"{tmp_path}/none2: No such file or directory",
    )


def test_what_the_kernel_takes_and_does_not_do_is_no_mend(tmp_path: Path) -> None:
    class Deaf(Recording):
        def poke(self, path: object, text: str) -> None:
            pass

    (tmp_path / "affinity").write_text("0-1")
    (mended,) = fix(Deaf(), [trouble(Mend("interrupts", pokes=((f"{tmp_path}/affinity", "0"),)))])
    assert mended.failed == (f"{tmp_path}/affinity: 0-1 → 0-1",)


def test_files_come_before_commands_and_only_when_they_differ(tmp_path: Path) -> None:
    file = tmp_path / "run" / "unit.d" / "90-ouchi.conf"
    mend = Mend("irqbalance", files=((str(file), "text"),), commands=(("systemctl", "restart"),))
    machine = Recording()
    assert fix(machine, [trouble(mend)])[0].done == (f"{file} written", "systemctl restart")
    assert file.read_text() == "text"
    assert fix(machine, [trouble(mend)])[0].done == ("systemctl restart",)


def test_a_command_that_fails_stops_those_after_it() -> None:
    mend = Mend("thread", commands=(("taskset", "1"), ("chmod", "2")))
    machine = Recording(fails=("taskset",))
    (mended,) = fix(machine, [trouble(mend)])
    assert machine.ran == [("taskset", "1")]
    assert mended.failed == ("taskset 1: exit status 1: no such thread",)


# --- the command


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> list[Diagnosis]:
    """What ``examine`` says, one after the other."""
    found: list[Diagnosis] = []
    monkeypatch.setattr(doctor, "examine", lambda *_: found.pop(0))
    return found


def diagnosis(*answers: Answer) -> Diagnosis:
    return Diagnosis((), tuple(Checked("kernel", f"check {number}", answer) for number, answer in enumerate(answers)))


@pytest.mark.parametrize(
    ("answers", "status", "head"),
    [
        ((holds(),), 0, "healthy: 1 check holds"),
        ((holds(), unknown("no")), 0, "healthy: 1 check holds, 1 could not be asked"),
        ((wrong(info("x")),), 0, "healthy: 1 remark, 0 checks hold"),
        ((wrong(warning("x")), holds()), 4, "warnings: 1 warning, 1 check holds"),
        ((wrong(warning("x"), error("y")),), 1, "failures: 1 failure, 1 warning, 0 checks hold"),
    ],
)
def test_the_exit_status_says_how_bad_it_is(
    says: list[Diagnosis], answers: tuple[Answer, ...], status: int, head: str
) -> None:
    says += [diagnosis(*answers)] * 2
    done = CliRunner().invoke(command, [])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (status, head)
    plain = json.loads(CliRunner().invoke(command, ["--json"]).stdout)
    assert (plain["schema"], plain["status"], plain["healthy"]) == (1, status, status == 0)
    assert [check["state"] for check in plain["checks"]] == [str(answer.state) for answer in answers]


def test_fix_mends_and_looks_again(says: list[Diagnosis], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ouchi.machine.privilege.need_root", lambda: None)
    file = tmp_path / "governor"
    file.write_text("powersave")
    mend = Mend("the governor", pokes=((str(file), "performance"),))
    says += [diagnosis(wrong(trouble(mend))), diagnosis(holds("performance"))]
    done = CliRunner().invoke(command, ["--fix"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1] == "mended: the governor"
    assert file.read_text() == "performance"


def test_the_site_of_what_is_up_is_taken(tmp_path: Path) -> None:
    instance = Instance("test", f"{tmp_path}/state", f"{tmp_path}/run", f"{tmp_path}/logs")
    machine = LocalMachine()
    assert kept_here(machine, instance) == ""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "site.yaml").write_text("name: x\n")
    assert kept_here(machine, instance) == ""  # down keeps the file
    (tmp_path / "run" / "ovs").mkdir(parents=True)
    assert kept_here(machine, instance) == f"{tmp_path}/state/site.yaml"


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
    told = case("clock-may-fall")
    said = doctor_text(diagnose(told.live, told.target), width=100, colour=False)
    assert said.splitlines()[0] == "warnings: 1 warning, 45 checks hold"
    assert re.search(r"^cpus +! +the clock of CPUs 2,8 may fall +governor powersave, schedutil$", said, re.MULTILINE)
    assert re.search(r"^ +✔ +no deep sleep +at most C1 on 1-5,7-11$", said, re.MULTILINE)
    assert "  why:      a slower clock means fewer packets a second" in said
    assert "  next:     ouchi doctor --fix (until the next start); for good: ouchi apply" in said


def test_what_is_not_known_for_one_reason_is_one_line() -> None:
    told = case("without-root")
    said = doctor_text(diagnose(told.live, told.target), width=1000, colour=False)
    (line,) = [line for line in said.splitlines() if "only root may ask Open vSwitch" in line]
    assert "?  DPDK is initialised; Open vSwitch's settings are the plan's;" in line


@pytest.mark.parametrize(
    ("mended", "line"),
    [
        (Mended("x", ("a",), ()), "mended: x"),
        (Mended("x", (), ()), "already so: x"),
        (Mended("x", ("a",), ("b: no",)), "mended in part: x\n  b: no"),
        (Mended("x", (), ("b: no",)), "not mended: x\n  b: no"),
    ],
)
def test_what_was_mended_is_said(mended: Mended, line: str) -> None:
    said = doctor_text(replace(diagnosis(holds()), mended=(mended,)), width=80, colour=False)
    assert line in said
