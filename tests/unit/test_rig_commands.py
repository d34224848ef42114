"""``ouchi rig`` where something is not as it should be: off, booting, ended, damaged, folders that are not the user's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from ouchi.cli import rig
from ouchi.core.errors import BadInput, Failed, Finding, OuchiError, Unhealthy, error
from ouchi.machine.local import LocalMachine
from ouchi.machine.lock import exclusive_lock
from ouchi.rig import control
from ouchi.rig.assets import ASSETS, Assets, read_assets
from ouchi.rig.base import assets_of, remove_unused
from ouchi.rig.hardware import Shape
from ouchi.rig.image import Image
from ouchi.rig.keeper import COLD, Keeper, Phase, read_status
from ouchi.rig.login import ssh_config
from ouchi.rig.paths import RigPaths, rig_paths
from ouchi.rig.states import SavedState
from ouchi.rig.tools import Tools
from tests.unit.test_schema import mistakes


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RigPaths:
    """The rig of a user who has none yet."""
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return rig_paths(os.environ)


def write_status(where: RigPaths, phase: Phase, text: str = "") -> None:
    """The last status of the keeper."""
    Path(where.folder).mkdir(parents=True, exist_ok=True)
    status = {"phase": phase, "text": text, "faults": [], "findings": []}
    Path(where.status).write_text(json.dumps(status))


@pytest.fixture
def keeper(where: RigPaths) -> Iterator[subprocess.Popen[bytes]]:
    """A process with the keeper's marks."""
    with subprocess.Popen(["sleep", "60"], env=os.environ | where.environment) as process:
        yield process
        process.kill()


def refused(act: Callable[[], None], kind: type[OuchiError]) -> Finding:
    with pytest.raises(kind) as caught:
        act()
    return caught.value.findings[0]


def enter() -> None:
    rig.ssh.callback("root", ())


def save() -> None:
    rig.snapshot.callback("mine", loading=False, listing=False, as_json=False)


@pytest.mark.usefixtures("where")
@pytest.mark.parametrize("act", [enter, save])
def test_a_rig_that_was_never_started(act: Callable[[], None]) -> None:
    assert refused(act, Unhealthy).found == "it was never started"


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("act", [enter, save])
def test_a_rig_that_boots(where: RigPaths, act: Callable[[], None]) -> None:
    write_status(where, Phase.STARTING, "it reset itself")
    assert refused(act, Unhealthy).found == "starting: it reset itself"


@pytest.mark.parametrize("act", [enter, save])
def test_a_keeper_that_was_killed(where: RigPaths, act: Callable[[], None]) -> None:
    write_status(where, Phase.UP)
    assert refused(act, Unhealthy).found == "its keeper was killed"


def test_what_can_not_be_read_says_nothing(where: RigPaths) -> None:
    write_status(where, Phase.UP)
    for text in ("{", "[]", '{"phase": "elsewhere"}', '{"phase": "up"}'):
        Path(where.status).write_text(text)
        (Path(where.folder) / ASSETS).write_text(text)
        assert read_status(LocalMachine(), where) is None
        assert read_assets(LocalMachine(), where.folder) is None
        assert refused(enter, Unhealthy).found == "it was never started"


@pytest.mark.usefixtures("keeper")
def test_a_rig_that_has_just_begun_to_boot(where: RigPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """For half a minute its keeper has nothing to tell but that."""

    def boot(_keeper: Keeper, _how: str) -> None:
        assert refused(enter, Unhealthy).found == "starting"
        raise Failed(error("enough seen"))

    monkeypatch.setattr(Keeper, "_start", boot)
    parts = Assets(Tools(where.cache, ""), Image(where.cache, ""), kvm=False, base=where.cache / "base/disk")
    with pytest.raises(Failed, match="enough seen"):
        Keeper(LocalMachine(), parts, where).keep(COLD)
    kept = read_status(LocalMachine(), where)
    assert kept
    assert kept.phase is Phase.FAILED


def test_one_command_at_a_time(where: RigPaths) -> None:
    """QEMU's socket has room for one; the second waited and was a bug."""
    write_status(where, Phase.UP)
    with exclusive_lock(str(where.lock), "rig down"):
        assert refused(save, BadInput).found.startswith("ouchi rig down, process")


@pytest.mark.usefixtures("keeper")
def test_a_rig_that_ends_just_now_is_saved_nowhere(where: RigPaths) -> None:
    write_status(where, Phase.UP)
    with socket.socket(socket.AF_UNIX) as interface:
        interface.bind(f"{where.folder}/commands")
        assert refused(save, Unhealthy).found == "[Errno 111] Connection refused"


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.UP])
def test_down_ends_a_rig_that_cannot_be_saved(
    where: RigPaths, phase: Phase, keeper: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """One that boots, and one whose QEMU is just gone."""
    write_status(where, phase)
    rig.down.callback(purge=False)
    assert capsys.readouterr().out.startswith("the rig was still booting and was powered off")
    assert keeper.wait(5) < 0
    rig.down.callback(purge=False)
    assert capsys.readouterr().out == "nothing to do: the rig is not up\n"


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize(
    ("phase", "running"), [(Phase.STARTING, True), (Phase.UP, True), (Phase.OFF, False), (Phase.FAILED, False)]
)
def test_a_keeper_that_is_about_to_end_keeps_nothing(where: RigPaths, phase: Phase, running: bool) -> None:
    """``up`` just after ``poweroff`` inside starts it, and does not wait for its end to call that a failure."""
    write_status(where, phase)
    assert control.is_running(LocalMachine(), where) is running


@pytest.mark.usefixtures("where")
def test_folders_that_are_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    for act in (save, lambda: rig.down.callback(purge=False), lambda: rig.up.callback(None, None, False, True)):
        finding = refused(act, Failed)
        assert (finding.claim, finding.where) == ("a file of the rig cannot be read or written", "/proc/nowhere")
        assert "XDG_CACHE_HOME" in finding.remedy


def test_a_rig_of_other_nodes_is_refused_unless_it_is_to_be_new(where: RigPaths) -> None:
    """Its states need the machine that they were saved from."""
    Path(where.folder).mkdir(parents=True)
    tools, image = Tools(Path("/tools"), "1"), Image(Path("/image"), "2")
    Path(where.folder / ASSETS).write_text(Assets(tools, image, False, Path("/base/disk.qcow2")).to_json())
    finding = refused(lambda: rig.up.callback(None, 2, False, True), BadInput)
    assert (finding.found, finding.expected) == ("one node", "two nodes")
    assert "--new" in finding.remedy


def made(where: RigPaths, shape: Shape = Shape.ONE_NODE, version: str = "1") -> Assets:
    """The assets of a version of ouchi, as files."""
    cache = Path(where.cache)
    tools, image = Tools(cache / f"tools-{version}", version), Image(cache / f"image-{version}", version)
    assets = assets_of(cache, tools, image, shape, kvm=False)
    for folder in (tools.folder, image.folder, assets.base.parent):
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path(assets.base).write_bytes(b"1" * 100_000)
    (cache / ASSETS).write_text(assets.to_json())
    return assets


def test_what_older_versions_made_is_removed(where: RigPaths) -> None:
    """Not what the user's rig was made from, nor the other shapes of this version, nor what is not ouchi's."""
    machine, cache = LocalMachine(), Path(where.cache)
    oldest, before = made(where, version="0"), made(where, version="1")
    (cache / "notes").write_text("")
    now = made(where, Shape.TWO_NODES, "2"), made(where, version="2")
    assert set(remove_unused(machine, where.cache, before)) == {"tools-0", "image-0", oldest.base.parent.name}
    assert all(machine.exists(assets.base) for assets in (before, *now))
    assert len(remove_unused(machine, where.cache, None)) == 3
    assert not machine.exists(before.base)
    assert {path.name for path in cache.iterdir()} == {
        "notes", ASSETS, "tools-2", "image-2", *(assets.base.parent.name for assets in now),
    }  # fmt: skip


def test_without_a_version_nothing_is_removed(where: RigPaths) -> None:
    assets = made(where)
    (Path(where.cache) / ASSETS).write_text("{")
    assert remove_unused(LocalMachine(), where.cache) == []
    assert assets.base.parent.name in LocalMachine().entries(where.cache)


def status_of(as_json: bool, expected: int, capsys: pytest.CaptureFixture[str]) -> str:
    context = click.Context(rig.status)
    with context, pytest.raises(click.exceptions.Exit) as ended:
        rig.status.callback(as_json)
    assert ended.value.exit_code == expected
    return capsys.readouterr().out


def test_the_status_of_no_rig(where: RigPaths, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(False, 1, capsys) == "there is no rig\nnext: make it: ouchi rig up\n"
    document = json.loads(status_of(True, 1, capsys))
    assert mistakes("rig-status", document) == []
    assert (document["phase"], document["cache_bytes"], document["states"]) == ("none", 0, [])
    assert document["folder"] == str(where.folder)


@pytest.mark.usefixtures("keeper")
def test_the_status_of_a_rig_that_is_up(
    where: RigPaths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(where.folder)
    folder.mkdir(parents=True)
    (folder / ASSETS).write_text(made(where, Shape.TWO_NODES).to_json())
    (folder / "ssh_config").write_text(ssh_config(40022, folder / "key", folder / "hosts"))
    monkeypatch.setattr(control, "saved", lambda *_: [SavedState("clean", 1_700_000_000, 400_000_000)])
    write_status(where, Phase.UP)
    text = status_of(False, 0, capsys)
    for shown in ("the rig is up\n", "two nodes", "port 40022 of 127.0.0.1", "clean ", "400 MB"):
        assert shown in text
    document = json.loads(status_of(True, 0, capsys))
    assert mistakes("rig-status", document) == []
    assert (document["port"], document["shape"], document["states"][0]["name"]) == (40022, "two nodes", "clean")
    assert document["cache_bytes"] > 100_000


@pytest.mark.parametrize(
    ("phase", "text", "shown"),
    [
        (Phase.OFF, control.QUIT, "the rig is suspended\nnext: resume it: ouchi rig up\n"),
        (Phase.OFF, "guest-shutdown", "the rig is off: guest-shutdown\nnext: boot it"),
        (Phase.UP, "", "the rig is failed: its keeper was killed\nnext: start it again"),
    ],
)
def test_the_status_of_a_rig_that_is_not_up(
    where: RigPaths, phase: Phase, text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_status(where, phase, text)
    found = status_of(False, 1, capsys)
    assert "".join(line + "\n" for line in found.splitlines() if not line.startswith("  ")).startswith(shown)


def test_what_rig_prints_is_in_its_schemas(where: RigPaths, capsys: pytest.CaptureFixture[str]) -> None:
    rig.snapshot.callback(None, loading=False, listing=True, as_json=True)
    assert mistakes("rig-states", json.loads(capsys.readouterr().out)) == []
    assert mistakes("rig-saved", {"schema": 1, "saved": "mine", "seconds": 1.5}) == []
    Path(where.folder).mkdir(parents=True)
    (Path(where.folder) / ASSETS).write_text(made(where).to_json())
    write_status(where, Phase.UP)
    status = read_status(LocalMachine(), where)
    assert status
    with rig._rig() as (machine, paths):
        rig._start(machine, paths, lambda *_: status, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert mistakes("rig", document) == []
    assert (document["phase"], document["numa_memory_gib"]) == ("up", [6])


def test_a_rig_of_one_node_has_its_memory() -> None:
    with pytest.raises(click.UsageError, match="--nodes 2"):
        rig.up.callback(None, 1, True, True)
