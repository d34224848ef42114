"""Changes of several hosts: shown, questions once, made in parallel; one that fails stops no other."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from click.testing import CliRunner

from ouchi.cli.apply import command as apply_command
from ouchi.cli.changes import apply_for_up, resumed, run_changes
from ouchi.core.errors import BadInput, Failed, error, warning
from ouchi.core.events import Timeline
from ouchi.core.instance import Instance
from ouchi.flows.apply import Apply
from ouchi.flows.several_hosts import Done, HostChange, Options, question
from ouchi.flows.site_host import SiteHost
from ouchi.machine import Machine
from ouchi.machine import Path as MachinePath
from ouchi.machine.local import LocalMachine
from ouchi.plan.target import Target
from tests.hosts import reader
from tests.plans import target_of


@dataclass
class Scripted(HostChange):
    """A change that ends as it is given."""

    ends: str = "done"
    made: bool = False
    command: ClassVar[str] = "test"

    def survey(self) -> None:
        if self.ends == "refused":
            raise BadInput(error("not this host"))

    def text(self) -> str:
        return f"to do on {self.host.name}"

    def to_json(self) -> dict[str, Any]:
        return {"steps": [] if self.ends == "nothing" else ["one"]}

    @property
    def needed(self) -> bool:
        return self.ends != "nothing"

    @property
    def reboot_reasons(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("it is time",) if self.ends == "done" else ()

    def make(self, timeline: Timeline, stage: str) -> Done:
        self.made = True
        if self.ends == "fails":
            raise Failed(error("it broke"))
        if self.ends == "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "/etc/file")
        return Done({"steps": ["one"], "stage": stage}, (warning("it was left"),) if self.ends == "leaves" else ())

    def _lock(self) -> None:
        """The machine of the tests is not locked."""


class Other(LocalMachine):
    """This machine, as if it were another."""

    def __init__(self, machine_id: str) -> None:
        super().__init__()
        self.machine_id = machine_id

    def read(self, path: MachinePath) -> str:
        return self.machine_id if path == "/etc/machine-id" else super().read(path)


def scripted(*ends: str, **options: Any) -> list[Scripted]:
    chosen = Options(**{"dry_run": False, "yes": True, "reboot": True} | options)
    return [
        Scripted(SiteHost(f"h{n}", f"root@h{n}", "", None, Other(str(n))), Instance(), chosen, end)
        for n, end in enumerate(ends)
    ]


def test_one_that_fails_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    all_of_them = scripted("done", "refused", "fails", "nothing")
    assert run_changes(all_of_them, "change them", as_json=False) == 3
    assert [change.made for change in all_of_them] == [True, False, True, False]
    output = capsys.readouterr()
    assert "==> h0 (root@h0) <==\nto do on h0" in output.out
    assert output.err.count("error: not this host") == 1
    assert "error: it broke" in output.err
    assert "✔ h0" in output.out
    assert "✘ h1" in output.out
    assert "2 of 4 hosts succeeded" in output.out


def test_as_json_every_host_has_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_changes(scripted("done", "refused", "nothing"), "change them", as_json=True) == 2
    entries = json.loads(capsys.readouterr().out)["hosts"]
    assert [(entry["name"], entry["status"], entry["result"]) for entry in entries] == [
        ("h0", 0, {"steps": ["one"], "stage": "h0"}),
        ("h1", 2, None),
        ("h2", 0, {"steps": []}),
    ]


def test_what_was_left_counts_on_several_hosts_as_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_changes(scripted("leaves"), "change it", as_json=False) == 1
    assert run_changes(scripted("done", "leaves", "done"), "change them", as_json=False) == 1
    output = capsys.readouterr().out
    assert "2 of 3 hosts succeeded" in output
    assert "it was left" in output.splitlines()[-3]
    assert run_changes(scripted("done", "leaves", "disk"), "change them", as_json=True) == 3
    entries = json.loads(capsys.readouterr().out)["hosts"]
    assert [(entry["status"], entry["result"] and entry["result"]["stage"]) for entry in entries] == [
        (0, "h0"), (1, "h1"), (3, None),
    ]  # fmt: skip
    assert [entry["findings"][0]["claim"] for entry in entries[1:]] == [
        "it was left", "a file of the host cannot be read or written",
    ]  # fmt: skip


def test_a_full_disk_of_a_single_host_is_no_bug() -> None:
    with pytest.raises(Failed, match="No space left on device"):
        run_changes(scripted("disk"), "change it", as_json=False)


@pytest.mark.parametrize("ends", [("done",), ("done", "fails")])
def test_a_dry_run_makes_nothing(ends: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    all_of_them = scripted(*ends, dry_run=True, yes=False)
    assert run_changes(all_of_them, "change them", as_json=False) == 0
    assert not any(change.made for change in all_of_them)
    assert "to do on h0" in capsys.readouterr().out


def test_without_a_terminal_yes_must_be_given() -> None:
    [change] = scripted("done", yes=False)
    with pytest.raises(BadInput, match="ouchi cannot ask whether to change them and reboot the host"):
        run_changes([change], "change them", as_json=False)
    assert not change.made


def test_nothing_to_do_needs_no_yes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_changes(scripted("nothing", yes=False), "change them", as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "steps": []}


def test_a_single_hosts_error_is_raised_as_it_is() -> None:
    with pytest.raises(BadInput, match="not this host"):
        run_changes(scripted("refused"), "change them", as_json=False)


def test_one_machine_by_two_names_is_changed_by_neither(capsys: pytest.CaptureFixture[str]) -> None:
    all_of_them = scripted("done", "done", "done")
    all_of_them[2].host.machine.machine_id = "0"  # type: ignore[attr-defined]
    assert run_changes(all_of_them, "change them", as_json=True) == 2
    assert [change.made for change in all_of_them] == [False, True, False]
    entries = json.loads(capsys.readouterr().out)["hosts"]
    assert [entry["findings"] and entry["findings"][0]["claim"] for entry in entries] == [
        "h0 and h2 are the same machine", [], "h2 and h0 are the same machine",
    ]  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"dry_run": True}])
def test_this_machine_by_an_address_is_refused(options: dict[str, bool]) -> None:
    [change] = scripted("done", **options)
    change.host = replace(change.host, machine=LocalMachine())
    with pytest.raises(BadInput, match="h0 is this machine itself"):
        run_changes([change], "change it", as_json=False)
    change.host = replace(change.host, address="")
    assert run_changes([change], "change it", as_json=True) == 0


def test_the_question() -> None:
    assert question("change", 1, 0, 1) == "change"
    assert question("change", 1, 1, 1) == "change and reboot the host"
    assert question("change", 2, 1, 3) == "change on 2 of 3 hosts and reboot 1 of them"


def test_a_no_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    questions: list[str] = []

    def no(question: str) -> bool:
        questions.append(question)
        return False

    for ends in (("done",), ("done", "leaves")):
        changes = scripted(*ends, yes=False, ask=no)
        assert run_changes(changes, "change them", as_json=False) == 0
        assert not any(change.made for change in changes)
        assert "nothing was changed" in capsys.readouterr().out
    assert questions == ["Change them and reboot the host?", "Change them on 2 of 2 hosts and reboot 1 of them?"]


def applied(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[int | None, list[Options]]:
    """The part of ``up`` on a host that must be rebooted, and the options with which it was changed."""
    made: list[Options] = []
    monkeypatch.setattr(Apply, "prepare", lambda *_: None)
    monkeypatch.setattr(Apply, "needed", True)
    monkeypatch.setattr(Apply, "reboot_reasons", ("it is time",))
    monkeypatch.setattr(Apply, "text", lambda _: "")

    def make(self: Apply, _timeline: Timeline, _stage: str) -> Done:
        made.append(self.options)
        return Done({"rebooted": True, "reboot_needed": []})

    monkeypatch.setattr(Apply, "make", make)
    chosen = Options(**{"dry_run": False, "yes": True, "reboot": True} | options)
    return apply_for_up(LocalMachine(), target_of("ryzen-5-3600"), Timeline(), chosen), made


def test_up_ends_for_a_reboot_and_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that the machine runs when it is back is the one that it was given."""
    resume = resumed("up", "--yes", "--until", "dataplane", "--site", "/root/ouchi.yaml")
    status, (options,) = applied(monkeypatch, resume=resume)
    assert status == 1
    assert options.resume[4:] == ("up", "--yes", "--until", "dataplane", "--site", "/root/ouchi.yaml")


def test_a_no_ends_up_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert applied(monkeypatch, yes=False) == (0, [])


def test_a_saved_plan_is_applied_with_the_present_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in use now counts, and a host that has changed since is refused."""
    saved = target_of("ryzen-5-3600")
    given: list[Target] = []
    monkeypatch.setattr(Apply, "prepare", lambda _, target: given.append(target))
    options = Options(dry_run=True, yes=False, reboot=True)

    def apply(name: str) -> Apply:
        host = SiteHost(saved.site.name, "", "", saved.site, cast("Machine", reader(name)))
        return Apply(host, Instance(), options, saved=saved)

    apply("ryzen-5-3600").survey()
    assert given[0].plan == saved.plan
    assert given[0].facts is not saved.facts
    with pytest.raises(BadInput, match="the saved plan is not for this host as it is now"):
        apply("ryzen-9-7950x").survey()


def test_a_saved_plan_has_its_own_site(tmp_path: Path) -> None:
    """The options that choose another plan are refused, and a file that is no plan too."""
    (tmp_path / "plan.json").write_text("{}")
    for words in (["--plan", "plan.json", "--site", f"{tmp_path}/plan.json"], ["--plan", f"{tmp_path}/plan.json"]):
        result = CliRunner().invoke(apply_command, ["--dry-run", *words])
        assert isinstance(result.exception, BadInput)
