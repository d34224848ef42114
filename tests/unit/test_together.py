"""Work on several hosts: shown, asked once, done side by side; one that fails stops no other."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from ouchi.cli import main
from ouchi.cli.applying import Applying, applied_for_up
from ouchi.cli.together import Made, Wishes, Work, consent, question, run_all
from ouchi.core.errors import BadInput, Failed, error, warning
from ouchi.core.events import Timeline
from ouchi.flows.site_host import SiteHost
from ouchi.machine import Path
from ouchi.machine.local import LocalMachine
from tests.plans import target_of


@dataclass
class Told(Work):
    """Work that is told what becomes of it."""

    ends: str = "done"
    made: bool = False
    doing: ClassVar[str] = "test"

    def see(self) -> None:
        if self.ends == "refused":
            raise BadInput(error("not this host"))

    def text(self) -> str:
        return f"to do on {self.hosted.name}"

    def json(self) -> dict[str, Any]:
        return {"steps": [] if self.ends == "nothing" else ["one"]}

    def due(self) -> tuple[bool, bool]:
        return self.ends != "nothing", self.ends == "done"

    def make(self, timeline: Timeline, stage: str) -> Made:
        self.made = True
        if self.ends == "fails":
            raise Failed(error("it broke"))
        if self.ends == "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "/etc/file")
        return Made({"steps": ["one"], "stage": stage}, (warning("it was left"),) if self.ends == "leaves" else ())

    def _hold(self) -> None:
        """The machine of the tests is nobody's to hold."""


class Other(LocalMachine):
    """This machine, as if it were another."""

    def __init__(self, machine_id: str) -> None:
        super().__init__()
        self.machine_id = machine_id

    def read(self, path: Path) -> str:
        return self.machine_id if path == "/etc/machine-id" else super().read(path)


def works(*ends: str, **wishes: bool) -> list[Told]:
    target = Wishes(**{"dry_run": False, "yes": True, "restart": True} | wishes)
    return [Told(SiteHost(f"h{n}", f"root@h{n}", "", None, Other(str(n))), target, end) for n, end in enumerate(ends)]


def test_one_that_fails_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    all_of_them = works("done", "refused", "fails", "nothing")
    assert run_all(all_of_them, "change them", as_json=False) == 3
    assert [work.made for work in all_of_them] == [True, False, True, False]
    said = capsys.readouterr()
    assert "==> h0 (root@h0) <==\nto do on h0" in said.out
    assert said.err.count("error: not this host") == 1
    assert "error: it broke" in said.err
    assert "✔ h0" in said.out
    assert "✘ h1" in said.out
    assert "2 of 4 hosts succeeded" in said.out


def test_as_json_every_host_has_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_all(works("done", "refused", "nothing"), "change them", as_json=True) == 2
    entries = json.loads(capsys.readouterr().out)["hosts"]
    assert [(entry["name"], entry["status"], entry["result"]) for entry in entries] == [
        ("h0", 0, {"steps": ["one"], "stage": "h0"}),
        ("h1", 2, None),
        ("h2", 0, {"steps": []}),
    ]


def test_what_was_left_counts_on_several_hosts_as_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_all(works("leaves"), "change it", as_json=False) == 1
    assert run_all(works("done", "leaves", "done"), "change them", as_json=False) == 1
    said = capsys.readouterr().out
    assert "2 of 3 hosts succeeded" in said
    assert "it was left" in said.splitlines()[-3]
    assert run_all(works("done", "leaves", "disk"), "change them", as_json=True) == 3
    entries = json.loads(capsys.readouterr().out)["hosts"]
    assert [(entry["status"], entry["result"] and entry["result"]["stage"]) for entry in entries] == [
        (0, "h0"), (1, "h1"), (3, None),
    ]  # fmt: skip
    assert [entry["findings"][0]["claim"] for entry in entries[1:]] == [
        "it was left", "a file of the host cannot be read or written",
    ]  # fmt: skip


def test_a_full_disk_of_a_single_host_is_no_bug() -> None:
    with pytest.raises(Failed, match="No space left on device"):
        run_all(works("disk"), "change it", as_json=False)


@pytest.mark.parametrize("ends", [("done",), ("done", "fails")])
def test_a_dry_run_makes_nothing(ends: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    all_of_them = works(*ends, dry_run=True, yes=False)
    assert run_all(all_of_them, "change them", as_json=False) == 0
    assert not any(work.made for work in all_of_them)
    assert "to do on h0" in capsys.readouterr().out


def test_without_a_terminal_yes_must_be_said_before() -> None:
    [work] = works("done", yes=False)
    with pytest.raises(BadInput, match="nobody can be asked whether to change them and restart the machine"):
        run_all([work], "change them", as_json=False)
    assert not work.made


def test_nothing_to_do_needs_no_yes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_all(works("nothing", yes=False), "change them", as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "steps": []}


def test_a_single_hosts_error_is_raised_as_it_is() -> None:
    with pytest.raises(BadInput, match="not this host"):
        run_all(works("refused"), "change them", as_json=False)


def test_one_machine_by_two_names_is_changed_by_neither(capsys: pytest.CaptureFixture[str]) -> None:
    all_of_them = works("done", "done", "done")
    all_of_them[2].hosted.machine.machine_id = "0"  # type: ignore[attr-defined]
    assert run_all(all_of_them, "change them", as_json=True) == 2
    assert [work.made for work in all_of_them] == [False, True, False]
    entries = json.loads(capsys.readouterr().out)["hosts"]
    assert [entry["findings"] and entry["findings"][0]["claim"] for entry in entries] == [
        "h0 and h2 are the same machine", [], "h2 and h0 are the same machine",
    ]  # fmt: skip


@pytest.mark.parametrize("wishes", [{}, {"dry_run": True}])
def test_this_machine_by_an_address_is_refused(wishes: dict[str, bool]) -> None:
    [work] = works("done", **wishes)
    work.hosted = replace(work.hosted, machine=LocalMachine())
    with pytest.raises(BadInput, match="h0 is this machine itself"):
        run_all([work], "change it", as_json=False)
    work.hosted = replace(work.hosted, address="")
    assert run_all([work], "change it", as_json=True) == 0


def test_what_is_asked() -> None:
    assert question("change", 1, 0, 1) == "change"
    assert question("change", 1, 1, 1) == "change and restart the machine"
    assert question("change", 2, 1, 3) == "change on 2 of 3 hosts and restart 1 of them"


def test_up_goes_on_after_a_restart_to_the_stage_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that the machine runs when it is back is the one that it was given."""
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(Applying, "prepare", lambda *_: None)
    monkeypatch.setattr(Applying, "due", lambda _: (True, True))
    monkeypatch.setattr(Applying, "text", lambda _: "")

    def restarting(self: Applying, _timeline: Timeline, _stage: str) -> Made:
        asked.append(self.wishes.go_on)
        return Made({"restarted": True, "left": []})

    monkeypatch.setattr(Applying, "make", restarting)
    target = target_of("ryzen-5-3600")
    assert not applied_for_up(LocalMachine(), target, "dataplane", Timeline(), yes=True, restart=True)
    (words,) = asked
    assert words[4:] == ("up", "--yes", "--until", "dataplane", "--site", LocalMachine().absolute(target.site_file))


def test_a_no_is_no_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever asks: exit 0, and it says that nothing changed."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda _text: False)
    monkeypatch.setattr("ouchi.cli._run", lambda _words: consent("change it", Wishes(False, yes=False, restart=True)))
    assert main() == 0
    assert "nothing changed" in capsys.readouterr().err
    monkeypatch.setattr("click.confirm", lambda _text: True)
    consent("change it", Wishes(False, yes=False, restart=True))
