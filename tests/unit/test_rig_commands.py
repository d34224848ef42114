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
from ouchi.rig.image import Image
from ouchi.rig.keeper import COLD, Keeper, Phase, read_status
from ouchi.rig.paths import RigPaths, rig_paths
from ouchi.rig.tools import Tools


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


def test_a_rig_of_one_node_has_its_memory() -> None:
    with pytest.raises(click.UsageError, match="--nodes 2"):
        rig.up.callback(None, 1, True, True)
