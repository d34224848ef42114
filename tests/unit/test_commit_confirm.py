"""Commit-confirm: what the rollback does, what a yes is worth, and the wait for the address after a reboot."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ouchi.core.errors import BadInput, Failed
from ouchi.core.events import Timeline
from ouchi.core.instance import Instance
from ouchi.flows.several_hosts import Options
from ouchi.flows.site_host import SiteHost
from ouchi.flows.undo import Undo
from ouchi.host import commit_confirm, reboot
from ouchi.host.refusals import refusals
from ouchi.machine import Machine, Result
from ouchi.machine.local import LocalMachine
from ouchi.steps import engine
from ouchi.steps import file as path
from ouchi.steps.journal import Journal
from tests.unit.test_apply import SURVEY, ryzen


@pytest.mark.parametrize(
    ("has", "did"), [("192.0.2.20/24", ""), ("2001:db8::5/64", ""), ("192.0.2.21/24", "put back\nreboot\n")]
)
def test_the_machine_looks_for_its_address_once(
    has: str, did: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later start without a network puts nothing back, and one that stays away restarts nothing for ever."""
    monkeypatch.setattr(reboot, "CARRIER_SECONDS", 1)
    folder, log = tmp_path / "host", tmp_path / "log"
    programs = {
        "ip": f"echo '2: enp6s0    inet {has} brd 192.0.2.255 scope global enp6s0'",
        "sleep": ":",
        "systemctl": f"echo reboot >>{log}",
    }
    for name, text in programs.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    folder.mkdir()
    (folder / "rescue.sh").write_text(f"echo put back >{log}\n")
    script = folder / "watch.sh"
    # The session's interface is the one to look for, and of its addresses one is enough.
    facts = ryzen().facts
    carrier = next(nic for nic in facts.nics if nic.default_route)
    temporary = replace(carrier, session=True, addresses=("2001:db8::1234/64", "2001:db8::5/64", *carrier.addresses))
    other = replace(carrier, name="enp1s0", mac="02:00:00:00:00:99", addresses=("192.0.2.21/24",))
    facts = replace(facts, nics=(other, temporary))
    script.write_text(path.text_of(reboot._watch(str(folder), facts)[0].state))
    environment = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    subprocess.run(["sh", script], env=environment, stdout=subprocess.DEVNULL, check=True)
    assert (log.read_text() if log.exists() else "") == did
    assert not script.exists()


class Guarded(LocalMachine):
    """A machine on which the guard is at work, or not."""

    def __init__(self, rolling_back: bool) -> None:
        super().__init__()
        self.rolling_back = rolling_back

    def run(self, argv: Sequence[str], **_more: Any) -> Result:
        return Result(tuple(argv), 0 if argv[1] != "is-active" or self.rolling_back else 3, "", "")


@pytest.mark.parametrize(("rolling_back", "mark"), [(True, False), (False, True)])
def test_a_yes_that_comes_too_late_is_none(rolling_back: bool, mark: bool, tmp_path: Path) -> None:
    """The guard has begun to put everything back, or has ended."""
    if mark:
        (tmp_path / "rescued").write_text("now\n")
    facts = ryzen().facts
    with pytest.raises(Failed, match="connectivity was not confirmed in time") as caught:
        commit_confirm.confirm(
            Journal(Guarded(rolling_back), str(tmp_path)), facts, lambda: facts, lambda _question: True
        )
    assert caught.value.findings[0].found == "all changes are rolled back"


def test_a_yes_in_time(tmp_path: Path) -> None:
    facts = ryzen().facts
    commit_confirm.confirm(
        Journal(Guarded(rolling_back=False), str(tmp_path)), facts, lambda: facts, lambda _question: True
    )


def undoing(machine: Machine, instance: Instance) -> Undo:
    """Undo on a machine, surveyed."""
    change = Undo(SiteHost("", "", "", None, machine), instance, Options(dry_run=False, yes=True, reboot=False))
    change.survey()
    return change


def test_nothing_is_changed_while_everything_is_put_back(tmp_path: Path) -> None:
    assert [one.claim for one in refusals(ryzen(), replace(SURVEY, active=frozenset({"ouchi-rollback.service"})))] == [
        "a rollback of earlier changes is running"
    ]
    with pytest.raises(BadInput, match="a rollback of earlier changes is running"):
        undoing(Guarded(rolling_back=True), Instance("test", host=str(tmp_path)))


def test_what_undo_has_put_back_the_rescue_script_leaves(tmp_path: Path) -> None:
    """Undo leaves one file that another user has changed since, and all the rest is as before."""

    class WithoutSystemd(LocalMachine):
        def run(self, argv: Sequence[str], **more: Any) -> Result:
            return Result(tuple(argv), 3, "", "") if argv[0] == "systemctl" else super().run(argv, **more)

    machine, instance = WithoutSystemd(), Instance("test", run=f"{tmp_path}/run", host=f"{tmp_path}/host")
    machine.make_folder(instance.host)
    files = {name: tmp_path / name for name in ("ours", "theirs")}
    changes = [path.link(str(file), "nowhere") for file in files.values()]
    journal = Journal(machine, instance.host)
    engine.make(journal, "step", changes)
    files["theirs"].unlink()
    files["theirs"].write_text("another")
    left = undoing(machine, instance).restore(Timeline())
    assert [finding.where for finding in left] == [str(files["theirs"])]
    script = (tmp_path / "host/rescue.sh").read_text()
    assert str(files["theirs"]) in script
    assert str(files["ours"]) not in script
