"""Reversible changes: files, links and folders for real; what is killed anywhere is finished by the next."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ouchi.core.errors import BadInput, Failed
from ouchi.machine import Result
from ouchi.machine.local import LocalMachine
from ouchi.steps import Change, Lasts, Record, alternative, command, engine, rescue, tuned, vfs
from ouchi.steps import file as path
from ouchi.steps import sysfs as value
from ouchi.steps.driver import DriverKind
from ouchi.steps.journal import Journal
from ouchi.steps.kinds import KINDS
from ouchi.steps.refresh import REFRESHES

ME = f"{os.getuid()}:{os.getgid()}"


class Killed(Exception):
    """ouchi is gone."""


class Mortal(LocalMachine):
    """Is killed before its nth change of the machine."""

    def __init__(self, lives: int = 1_000_000) -> None:
        super().__init__()
        self.lives = lives

    def _step(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise Killed

    def run(self, argv: Any, **options: Any) -> Result:
        self._step()
        return super().run(argv, **options)

    def write(self, *words: Any, **options: Any) -> None:
        self._step()
        super().write(*words, **options)


def owned(change: Change) -> Change:
    """The same as its tester's, who need not be root."""
    state = change.state
    return Change(change.kind, change.key, state | {"owner": ME} if "file" in state else state, change.then)


def plan(folder: Path) -> list[Change]:
    """A new folder with a file, a file that is there, a link that is there, a new link."""
    return [
        path.folder(f"{folder}/new.d"),
        owned(path.file(f"{folder}/new.d/90-ouchi.cfg", "ours 'quoted' $HOME\n")),
        owned(path.file(f"{folder}/there", "ours now\n")),
        path.link(f"{folder}/link", "there"),
        path.link(f"{folder}/another", "new.d/90-ouchi.cfg"),
    ]


def tree(folder: Path) -> dict[str, Any]:
    """Everything in a folder: what, mode, contents."""
    found: dict[str, Any] = {}
    for item in sorted(folder.rglob("*")):
        mode = stat.S_IMODE(item.lstat().st_mode)
        if item.is_symlink():
            found[str(item.relative_to(folder))] = ("link", os.readlink(item))
        elif item.is_dir():
            found[str(item.relative_to(folder))] = ("folder", mode)
        else:
            found[str(item.relative_to(folder))] = ("file", mode, item.read_bytes())
    return found


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder in which something is."""
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "there").write_bytes(b"the user's\n\xff\0 no line feed")
    (folder / "there").chmod(0o640)
    (folder / "link").symlink_to("/nowhere")
    (folder / "other").write_text("not touched")
    return folder


def apply(machine: LocalMachine, state: Path, changes: list[Change]) -> None:
    engine.make(Journal(machine, str(state)), "step", changes)


def undo(machine: LocalMachine, state: Path) -> list[Record]:
    journal = Journal(machine, str(state))
    records = list(reversed(engine.current(journal)))
    now = engine.look(machine, [record.location for record in records])
    ours = [record for record in records if not engine.drifted(record, now[record.location])]
    engine.undo(journal, ours)
    return [record for record in records if record not in ours]


def test_what_was_there_is_put_back_byte_for_byte(etc: Path, tmp_path: Path) -> None:
    before = tree(etc)
    apply(LocalMachine(), tmp_path, plan(etc))
    assert (etc / "another").read_text() == "ours 'quoted' $HOME\n"
    assert (etc / "there").read_text() == "ours now\n"
    assert stat.S_IMODE((etc / "there").stat().st_mode) == 0o644
    assert undo(LocalMachine(), tmp_path) == []
    assert tree(etc) == before


def test_twice_is_once(etc: Path, tmp_path: Path) -> None:
    before = tree(etc)
    apply(LocalMachine(), tmp_path, plan(etc))
    after = tree(etc)
    apply(LocalMachine(), tmp_path, plan(etc))
    assert tree(etc) == after
    undo(LocalMachine(), tmp_path)
    undo(LocalMachine(), tmp_path)
    assert tree(etc) == before


@pytest.mark.parametrize("ending", ["continue", "undo"])
def test_killed_anywhere(etc: Path, tmp_path: Path, ending: str) -> None:
    before = tree(etc)
    for lives in range(100):
        try:
            apply(Mortal(lives), tmp_path, plan(etc))
        except Killed:
            pass
        else:
            break
        if ending == "undo":
            assert undo(LocalMachine(), tmp_path) == []
            assert tree(etc) == before, lives
    assert 5 < lives < 99
    after = tree(etc)
    for lives in range(100):
        if ending == "undo":
            apply(LocalMachine(), tmp_path, plan(etc))
        try:
            undo(Mortal(lives), tmp_path)
        except Killed:
            continue
        break
    assert tree(etc) == before
    apply(LocalMachine(), tmp_path, plan(etc))
    assert tree(etc) == after
    assert not list(etc.rglob(".*.ouchi"))


def test_what_others_changed_is_left(etc: Path, tmp_path: Path) -> None:
    apply(LocalMachine(), tmp_path, plan(etc))
    (etc / "there").write_text("the user's again, and another")
    left = undo(LocalMachine(), tmp_path)
    assert [record.key for record in left] == [f"{etc}/there"]
    assert (etc / "there").read_text() == "the user's again, and another"
    assert not (etc / "new.d").exists()
    # Put back by hand, the record is done with.
    (etc / "there").write_bytes(b"the user's\n\xff\0 no line feed")
    (etc / "there").chmod(0o640)
    assert undo(LocalMachine(), tmp_path) == []


def test_a_folder_that_others_use_stays(etc: Path, tmp_path: Path) -> None:
    apply(LocalMachine(), tmp_path, plan(etc))
    (etc / "new.d" / "theirs").write_text("")
    undo(LocalMachine(), tmp_path)
    assert sorted(os.listdir(etc / "new.d")) == ["theirs"]


def test_the_rescue_script_needs_no_ouchi(etc: Path, tmp_path: Path) -> None:
    before, machine = tree(etc), LocalMachine()
    apply(machine, tmp_path, plan(etc))
    rescue.write(machine, str(tmp_path), engine.current(Journal(machine, str(tmp_path))))
    assert machine.run(("sh", rescue.script_path(str(tmp_path)))).stderr == ""
    assert tree(etc) == before
    assert rescue.last_run(machine, str(tmp_path))
    # What it has put back is nobody else's doing.
    assert undo(machine, tmp_path) == []
    assert tree(etc) == before


def test_the_rescue_script_continues_after_a_failure(etc: Path, tmp_path: Path) -> None:
    machine = LocalMachine()
    apply(machine, tmp_path, plan(etc))
    records = engine.current(Journal(machine, str(tmp_path)))
    broken = Record("step", "file", f"{etc}/no/such/folder/x", {"link": "a"}, None, (), False)
    rescue.write(machine, str(tmp_path), (records[0], broken, *records[1:]))
    done = machine.run(("sh", rescue.script_path(str(tmp_path))), check=False)
    assert done.status == 1
    assert f"not undone: file {etc}/no/such/folder/x" in done.stderr
    assert not (etc / "new.d").exists()


def test_the_rescue_script_leaves_a_file_that_is_another_since(etc: Path, tmp_path: Path) -> None:
    """One that was there before ouchi; what ouchi made is removed in any case."""
    machine = LocalMachine()
    apply(machine, tmp_path, plan(etc))
    rescue.write(machine, str(tmp_path), engine.current(Journal(machine, str(tmp_path))))
    (etc / "there").write_text("root=/dev/another")
    (etc / "new.d/90-ouchi.cfg").write_text("edited")
    done = machine.run(("sh", rescue.script_path(str(tmp_path))), check=False)
    assert done.status == 1
    assert done.stderr == (f"{etc}/there was changed by another program or user since\nnot undone: file {etc}/there\n")
    assert (etc / "there").read_text() == "root=/dev/another"
    assert not (etc / "new.d").exists()
    # Gone, it is put back; and so is what the script has put back already.
    (etc / "there").unlink()
    for _ in range(2):
        assert machine.run(("sh", rescue.script_path(str(tmp_path)))).stderr == ""
        assert (etc / "there").read_bytes() == b"the user's\n\xff\0 no line feed"


def test_the_rescue_script_waits_for_each_part_as_long_as_it_may_take() -> None:
    """update-grub looks into every partition."""
    record = Record("step", "file", "/x", None, {"link": "a"}, ("grub",), False)
    parts = [line for line in rescue.text("/f", (record,)).splitlines() if line.endswith((" 120", " 600"))]
    assert len(parts) == 2


def test_a_change_that_does_not_hold_is_reported(tmp_path: Path) -> None:
    """Each process has a name of its own: what one shell writes there the next one does not read."""
    journal = Journal(LocalMachine(), str(tmp_path))
    change = value.value("/proc/self/comm", "planned")
    with pytest.raises(Failed, match=r"/proc/self/comm: what was set does not hold"):
        engine.make(journal, "step", [change])
    assert [record.in_progress for record in engine.current(journal)] == [True]


def test_what_a_change_would_do_is_shown(etc: Path, tmp_path: Path) -> None:
    journal = Journal(LocalMachine(), str(tmp_path))
    there, link, *_ = plan(etc)[2:]
    shown = engine.preview(journal, [there, link])
    assert [(one.key, one.target) for one in shown] == [(there.key, ("ours now",)), (link.key, ("-> there",))]
    engine.make(journal, "step", [there])
    assert [one.key for one in engine.preview(journal, [there, link])] == [link.key]


def test_one_that_cannot_be_made_stops_no_other(tmp_path: Path) -> None:
    """As interrupts that the kernel places itself; what was made is in the journal, and nothing else."""
    (tmp_path / "governor").write_text("powersave\n")
    (tmp_path / "ran").write_text("")
    (tmp_path / "boot_id").write_text("one\n")
    journal = Journal(LocalMachine(), str(tmp_path))
    governor = value.value(f"{tmp_path}/governor", "performance", lasts=Lasts.REBOOT)
    tried = engine.make_each(
        journal,
        "doctor",
        [
            value.value(f"{tmp_path}/no/such/file", "1", lasts=Lasts.REBOOT),
            value.value("/proc/self/comm", "planned", lasts=Lasts.REBOOT),
            governor,
            command.command("sh", "-c", f"echo once >>{tmp_path}/ran"),
            command.command("false"),
        ],
    )
    failures = [failure for _, failure in tried]
    assert "no/such/file" in failures[0]
    assert failures[1:] == ["the value stays as it was", "", "", "exit status 1"]
    assert (tmp_path / "ran").read_text() == "once\n"
    assert [record.location for record in journal.records()] == [governor.location]
    assert engine.make_each(journal, "doctor", [governor]) == []
    engine.undo(journal)
    assert (tmp_path / "governor").read_text() == "powersave\n"
    assert journal.records() == ()


def test_a_fix_that_fails_leaves_what_apply_noted(tmp_path: Path) -> None:
    """So that undo still restores the value of before ``apply``."""
    journal = Journal(LocalMachine(), str(tmp_path))
    noted = Record("governor", "sysfs", "/proc/self/comm", "powersave", "performance")
    journal.put([noted])
    ((_, failure),) = engine.make_each(
        journal, "doctor", [value.value("/proc/self/comm", "performance", lasts=Lasts.REBOOT)]
    )
    assert failure == "the value stays as it was"
    assert journal.records() == (noted,)


def test_what_a_reboot_has_undone_is_not_undone_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BOOT_ID", f"{tmp_path}/boot_id")
    (tmp_path / "boot_id").write_text("one\n")
    (tmp_path / "governor").write_text("powersave\n")
    journal = Journal(LocalMachine(), str(tmp_path))
    change = value.value(f"{tmp_path}/governor", "performance", lasts=Lasts.REBOOT)
    engine.make(journal, "doctor", [change])
    assert engine.left_over(journal, ()) == []
    (tmp_path / "boot_id").write_text("two\n")
    (tmp_path / "governor").write_text("ondemand\n")
    assert engine.undo(journal) == ()
    assert (tmp_path / "governor").read_text() == "ondemand\n"
    # Made again, what is there now is what it was before.
    engine.make(journal, "doctor", [change])
    engine.undo(journal)
    assert (tmp_path / "governor").read_text() == "ondemand\n"


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.json").write_text('{"version": 3}')
    with pytest.raises(BadInput, match="written by a later version of ouchi"):
        Journal(LocalMachine(), str(tmp_path))


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)


@given(name=names, content=st.binary(max_size=300), target=names)
def test_any_name_and_any_bytes(
    name: str, content: bytes, target: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if len(name.encode()) > 200 or name == target:
        return
    folder = tmp_path_factory.mktemp("any")
    machine, file = LocalMachine(), folder / name
    file.write_bytes(content)
    file.chmod(0o604)
    kind = path.FileKind()
    [state] = kind.look(machine, [str(file)]).values()
    kind.put(machine, str(file), {"link": target})
    assert os.readlink(file) == target
    assert kind.look(machine, [str(file)]) == {str(file): {"link": target}}
    kind.put(machine, str(file), None)
    assert os.listdir(folder) == []
    kind.put(machine, str(file), state)
    assert file.read_bytes() == content
    assert stat.S_IMODE(file.stat().st_mode) == 0o604


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
@pytest.mark.parametrize("linked", [False, True])
def test_undo_restores_owner_group_mode_and_link(tmp_path: Path, linked: bool) -> None:
    file, target = tmp_path / "file", tmp_path / "target"
    (target if linked else file).write_text("mine")
    os.chown(target if linked else file, 65534, 100)
    (target if linked else file).chmod(0o2460)
    if linked:
        file.symlink_to("target")
    before = (target if linked else file).stat()
    journal = Journal(LocalMachine(), str(tmp_path / "state"))
    engine.make(journal, "step", [path.file(str(file), "ours")])
    assert (file.read_text(), file.is_symlink()) == ("ours", False)
    engine.undo(journal)
    after = file.stat()
    assert (file.read_text(), file.is_symlink()) == ("mine", linked)
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, 65534, 100)
    assert sorted(os.listdir(tmp_path)) == ["file", "state", *(["target"] if linked else [])]


def test_a_new_file_is_nobody_elses_before_its_mode_is_set(tmp_path: Path) -> None:
    """As a shell shows that is killed before that, and a link planted in its place is not followed."""
    file, victim = tmp_path / "file", tmp_path / "victim"
    victim.write_text("x")
    (tmp_path / ".file.ouchi").symlink_to(victim)
    script = path.FileKind().script(str(file), path.file_state("secret")).partition("chown")[0]
    LocalMachine().run(("sh", "-ceu", f"umask 0\n{script}"))
    assert stat.S_IMODE((tmp_path / ".file.ouchi").lstat().st_mode) == 0o600
    assert victim.read_text() == "x"


def test_network_manager_reads_its_configuration_and_nothing_else(tmp_path: Path) -> None:
    """Asked to reload everything it writes ``/etc/resolv.conf`` anew, empty where another has configured the network."""
    (tmp_path / "systemctl").symlink_to("/bin/true")
    (tmp_path / "nmcli").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "nmcli").chmod(0o755)
    script, _ = REFRESHES["network manager"]
    assert (
        LocalMachine().run(("sh", "-ceu", script), env={"PATH": f"{tmp_path}:/bin"}).stdout == "general reload conf\n"
    )


def test_every_kind_has_words_for_nothing() -> None:
    for name, kind in KINDS.items():
        if name not in ("driver", "VFs"):
            assert kind.describe("key", None) == []


def test_a_value_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """An empty file, a folder, one that is not there; and the one after them is still read."""
    (tmp_path / "empty").write_text("")
    (tmp_path / "governor").write_text("performance\n")
    keys = [f"{tmp_path}/empty", str(tmp_path), f"{tmp_path}/none", f"{tmp_path}/governor"]
    assert list(value.SysfsKind().look(LocalMachine(), keys).values()) == [None, None, None, "performance"]


def test_alternatives_of_several_names() -> None:
    class Scripted(LocalMachine):
        def run(self, argv: Any, **_options: Any) -> Result:
            one = (
                "Name: a\nStatus: auto\nValue: /usr/bin/backend\n\nAlternative: /usr/bin/backend\nPriority: 1\n\nend\n"
            )
            return Result(tuple(argv), 0, f"{one}\nend\n{one}", "")

    chosen = {"auto": True, "value": "/usr/bin/backend"}
    assert alternative.AlternativeKind().look(Scripted(), ["a", "none", "b"]) == {
        "a": chosen,
        "none": None,
        "b": chosen,
    }


def test_the_output_of_update_alternatives() -> None:
    output = "Name: ovs-vswitchd\nLink: /usr/sbin/ovs-vswitchd\nStatus: manual\nBest: /a\nValue: /b\n\nAlternative: /b\nPriority: 1\n"
    assert alternative.parse(output) == {"auto": False, "value": "/b"}
    assert alternative.parse("") is None


def test_the_output_of_ip_for_vfs() -> None:
    shown = (
        '[{"ifname":"ens1","flags":["BROADCAST","UP"],"vfinfo_list":[{"vf":0,"address":"02:AA:00:00:00:01","vlan_list":[{"vlan":101}],'
        '"spoofchk":true,"trust":false},{"vf":1,"address":"02:aa:00:00:00:02","spoofchk":false,"trust":true}]}]'
    )
    state = vfs.parse("2", shown)
    assert state["vfs"] == [
        {"mac": "02:aa:00:00:00:01", "vlan": 101, "spoofchk": True, "trust": False},
        {"mac": "02:aa:00:00:00:02", "vlan": 0, "spoofchk": False, "trust": True},
    ]
    assert vfs.parse("0", "") == {"count": 0, "up": False, "vfs": []}
    assert vfs.vfs("0000:01:00.0", state["vfs"]).state == state


def test_a_driver_is_looked_up() -> None:
    assert DriverKind().look(LocalMachine(), ["0000:ff:1f.7"]) == {"0000:ff:1f.7": {"saved": "", "driver": ""}}


@pytest.mark.parametrize(
    ("output", "state", "script"),
    [
        ("", None, "tuned-adm off\n"),
        ("No current active profile.\nProfile selection mode: manual\n", None, "tuned-adm off\n"),
        (
            "Current active profile: virtual-guest\nProfile selection mode: auto\n",
            {"profile": "virtual-guest", "auto": True},
            "tuned-adm auto_profile\n",
        ),
        (
            "Current active profile: balanced mine\nProfile selection mode: manual\n",
            {"profile": "balanced mine", "auto": False},
            "tuned-adm profile balanced mine\n",
        ),
    ],
)
def test_the_output_of_tuned_adm(output: str, state: object, script: str) -> None:
    assert tuned.parse(output) == state
    assert tuned.TunedKind().script("profile", state) == script
