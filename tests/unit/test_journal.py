"""Journals that an earlier version wrote are still undone, byte for byte; those of today say of which scope they are."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ouchi.core.errors import BadInput
from ouchi.core.events import Timeline
from ouchi.core.instance import Instance
from ouchi.flows.several_hosts import Options
from ouchi.flows.site_host import SiteHost
from ouchi.flows.undo import Undo
from ouchi.host import boot, reboot
from ouchi.machine import Path as MachinePath
from ouchi.machine import Result
from ouchi.machine.local import LocalMachine
from ouchi.parts import clouds, device, hugepages, libvirt, packages
from ouchi.steps import Record, engine
from ouchi.steps import hugepages as kind
from ouchi.steps.journal import Journal, Scope, open_journal

CASES = Path(__file__).parents[1] / "cases" / "journal"
ME = f"{os.getuid()}:{os.getgid()}"


class Away(LocalMachine):
    """This machine without its systemd, network devices and namespaces; the scripts for those are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []

    def run(self, argv: Sequence[str], **more: Any) -> Result:
        if argv[0] == "systemctl" or any(word in argv[-1] for word in ("/sys/class/net/", "netns", "systemctl")):
            self.scripts.append(argv[-1])
            return Result(tuple(argv), 3 if argv[0] == "systemctl" else 0, "", "")
        return super().run(argv, **more)

    def poke(self, path: MachinePath, text: str) -> None:
        Path(path).write_text(text)


def case(name: str, root: Path, folder: Path) -> None:
    """Put the journal of a case into ``folder``, of files below ``root``."""
    text = (CASES / name / "journal.json").read_text().replace("@ROOT@", str(root)).replace("0:0", ME)
    folder.mkdir(parents=True)
    (folder / "journal.json").write_text(text)


def read(name: str, file: str, root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CASES / name / file).read_text().replace("@ROOT@", str(root)))
    return content


def test_what_up_changed_before_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counter(node: int, size_kib: int, which: str = "nr") -> str:
        return f"{tmp_path}/sys/node{node}-{size_kib}/{which}_hugepages"

    monkeypatch.setattr(kind, "counter", counter)
    before, after = (read("up", name, tmp_path) for name in ("before.json", "after.json"))
    for name, text in after.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "etc/openstack/.ouchi-half").write_text("half")
    (tmp_path / "var/lib/libvirt/qemu").mkdir(parents=True)
    case("up", tmp_path, tmp_path / "state")
    machine = Away()
    journal = Journal(machine, f"{tmp_path}/state")
    device.undo(journal)
    libvirt.undo(journal)
    hugepages.undo(journal)
    engine.undo(journal, tuple(reversed(journal.records(step=clouds.Clouds.name))))
    packages.undo(journal)
    files = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    files.pop("state/journal.json")
    assert files == before
    assert not (tmp_path / "var/lib/libvirt/qemu").exists()
    assert journal.records() == ()
    deleted = [word for script in machine.scripts for word in script.split() if script.startswith("if [ -")]
    for name in ("ovs-netdev", "br-int", "br-physnet1", "ouchi-near0", "ouchi-end0", "ouchi-left", "out-physnet1"):
        assert name in deleted
    assert "umount /run/netns" in machine.scripts[-1], "the folder of namespaces goes last"


@pytest.mark.parametrize("others", [-3, 5])
def test_pages_of_a_former_version_among_those_of_others(
    others: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "counter", lambda node, size, which="nr": f"{tmp_path}/{node}-{size}/{which}_hugepages")
    for name, pages in {"0-2048": 624, "1-2048": 108, "0-1048576": 4}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "nr_hugepages").write_text(str(pages + others))
        (tmp_path / name / "free_hugepages").write_text("700")
    case("up", tmp_path, tmp_path / "state")
    machine = Away()
    journal = Journal(machine, f"{tmp_path}/state")
    # The next ``up`` reserves what another plan asks for, whatever was half done.
    hugepages.reserve(journal, 0, 2048, 600)
    assert (tmp_path / "0-2048/nr_hugepages").read_text() == str(64 + others + 600)
    hugepages.undo(journal)
    found = [(tmp_path / name / "nr_hugepages").read_text() for name in ("0-2048", "0-1048576")]
    assert found == [str(64 + others), str(4 + others)]


def tree(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith("host"):
            continue
        if path.is_symlink():
            found[name] = ["link", os.readlink(path)]
        elif path.is_dir():
            found[name] = ["folder"]
        else:
            found[name] = ["file", oct(stat.S_IMODE(path.stat().st_mode)), path.read_text()]
    return found


def test_what_apply_changed_before_is_undone(tmp_path: Path) -> None:
    before, after = (read("apply", name, tmp_path) for name in ("before.json", "after.json"))
    for name, (what, *rest) in after.items():
        path = tmp_path / name
        if what == "folder":
            path.mkdir(parents=True)
        elif what == "link":
            path.symlink_to(rest[0])
        else:
            path.write_text(rest[1])
            path.chmod(int(rest[0], 8))
    assert tree(tmp_path) == after
    case("apply", tmp_path, tmp_path / "host")
    machine, instance = Away(), Instance("test", run=f"{tmp_path}/run", host=f"{tmp_path}/host")
    undo = Undo(SiteHost("", "", "", None, machine), instance, Options(dry_run=False, yes=True, reboot=False))
    undo.survey()
    assert boot.added_params(undo.journal) == ("hugepages=560", "isolcpus=2-3")
    assert undo.journal.note(reboot.REQUESTED) == "11111111-2222-3333-4444-555555555555"
    assert undo.restore(Timeline()) == []
    assert tree(tmp_path) == before
    assert not (tmp_path / "host").exists()
    assert "systemctl daemon-reload" in machine.scripts, "the refresh that was due"


def test_a_journal_is_of_a_scope_and_is_read_again(tmp_path: Path) -> None:
    machine, instance = LocalMachine(), Instance("test", state=f"{tmp_path}/state", host=f"{tmp_path}/host")
    record = Record("kernel", "file", "/etc/x", None, {"link": "a"}, ("systemd",), in_progress=True)
    for scope, folder in ((Scope.SESSION, "state"), (Scope.MACHINE, "host")):
        journal = open_journal(machine, instance, scope)
        journal.put([record])
        journal.set_note(engine.DUE, ["systemd"])
        content = json.loads((tmp_path / folder / "journal.json").read_text())
        assert (content["version"], content["scope"]) == (2, scope)
        again = open_journal(machine, instance, scope)
        assert again.records() == (record,)
        assert again.note(engine.DUE) == ["systemd"]


def test_a_users_edit_of_clouds_yaml_outlives_down(tmp_path: Path) -> None:
    """Made between two runs of ``up``, the second of which has another password."""
    file = tmp_path / "clouds.yaml"
    file.write_text("clouds: {}\n")
    journal = Journal(LocalMachine(), str(tmp_path / "state"))
    entry = clouds.yaml_entry(str(file), "clouds.ouchi", {"auth": {"password": "one"}})
    engine.make(journal, "clouds.yaml", [entry])
    file.write_text(file.read_text() + "  mine: {}\n" if "\n  ouchi" in file.read_text() else "clouds: {mine: {}}\n")
    again = clouds.yaml_entry(str(file), "clouds.ouchi", {"auth": {"password": "two"}})
    engine.make(journal, "clouds.yaml", [again])
    assert "two" in file.read_text()
    assert "one" not in file.read_text()
    engine.undo(journal)
    assert "mine" in file.read_text()
    assert "ouchi" not in file.read_text()


@pytest.mark.parametrize(
    "content", ["", "{", "[" * 100_000, "3", '{"version": 2}', '{"version": 2, "records": [{}], "notes": {}}']
)
def test_a_damaged_journal_is_named_with_a_way_on(tmp_path: Path, content: str) -> None:
    (tmp_path / "journal.json").write_text(content)
    with pytest.raises(BadInput, match="the journal is damaged") as refused:
        Journal(LocalMachine(), str(tmp_path))
    assert "rescue.sh" in refused.value.findings[0].remedy
