"""An entry in a user's YAML file: what the user wrote, and of whom and what kind the file is, outlives it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ouchi.core.errors import BadInput, Failed
from ouchi.machine.local import LocalMachine
from ouchi.steps import engine
from ouchi.steps.journal import Journal
from ouchi.steps.yaml_entry import yaml_entry

MINE = '# Mine.\nclouds:\n  work:\n    auth: {password: "a: b"}  # kept\n'
root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


def up(file: Path, password: str = "one", mode: int = 0o600) -> None:
    journal = Journal(LocalMachine(), str(file.parent / "state"))
    engine.make(journal, "clouds.yaml", [yaml_entry(str(file), "clouds.ouchi", {"password": password}, mode=mode)])


def down(file: Path) -> None:
    engine.undo(Journal(LocalMachine(), str(file.parent / "state")))
    assert not list(file.parent.glob(".*"))


def looks(file: Path) -> tuple[int, int, int]:
    found = file.stat()
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


@pytest.mark.parametrize(
    "content", [MINE, "", "# only a comment\n", "clouds:\n", "clouds: {}", MINE.replace("\n", "\r\n"), "a: ü\n"]
)
def test_the_file_is_restored_byte_for_byte(tmp_path: Path, content: str) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_bytes(content.encode())
    up(file)
    assert "password: one" in file.read_text()
    up(file, "two")
    assert "password: two" in file.read_text()
    down(file)
    assert file.read_bytes() == content.encode()


EDITS: dict[str, Callable[[str], str]] = {
    "another cloud": lambda text: text.replace("clouds:\n", "clouds:\n  new:\n    \"x\": 'y'\n"),
    "a comment": lambda text: text + "# more\n",
    "another key": lambda text: text + "more: {}\n",
    "ours changed too": lambda text: text.replace("password: one", "password: changed") + "# more\n",
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("again", [0, 1, 2])
def test_what_the_user_writes_meanwhile_outlives_down(tmp_path: Path, edit: str, again: int) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text(MINE)
    up(file)
    file.write_text(EDITS[edit](file.read_text()))
    for number in range(again):
        up(file, "one" if number == 0 else "two")
    down(file)
    assert file.read_text() == EDITS[edit](MINE)


def test_the_entry_that_the_user_had_comes_back_beside_later_edits(tmp_path: Path) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text("clouds:\n  ouchi:\n    password: mine\n")
    up(file)
    file.write_text(file.read_text() + "# more\n")
    down(file)
    assert file.read_text() == "clouds:\n  ouchi:\n    password: mine\n# more\n"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o400])
def test_nobody_else_may_read_a_secret_and_the_mode_comes_back(tmp_path: Path, mode: int) -> None:
    secret, public = tmp_path / "secure.yaml", tmp_path / "clouds.yaml"
    for file, ours in ((secret, 0o600), (public, 0o644)):
        file.write_text(MINE)
        file.chmod(mode)
        before = looks(file)
        up(file, mode=ours)
        assert looks(file)[0] == (mode & 0o700 if file is secret else mode)
        down(file)
        assert looks(file) == before


def test_a_file_with_the_entry_already_is_closed_to_others(tmp_path: Path) -> None:
    file = tmp_path / "secure.yaml"
    up(file)
    assert looks(file)[0] == 0o600
    file.chmod(0o644)
    up(file)
    assert looks(file)[0] == 0o600
    down(file)
    assert not file.exists()


def test_a_mode_that_the_user_set_meanwhile_stays(tmp_path: Path) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text(MINE)
    file.chmod(0o644)
    up(file, mode=0o644)
    file.chmod(0o604)
    down(file)
    assert (file.read_text(), looks(file)[0]) == (MINE, 0o604)


@root
def test_owner_and_group_stay(tmp_path: Path) -> None:
    file = tmp_path / "secure.yaml"
    file.write_text(MINE)
    os.chown(file, 65534, 100)
    file.chmod(0o640)
    up(file)
    assert looks(file) == (0o600, 65534, 100)
    down(file)
    assert looks(file) == (0o640, 65534, 100)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_the_file_it_leads_to_is_changed_and_restored(tmp_path: Path, there: bool) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "between").symlink_to("dotfiles/clouds.yaml")
    file, target = tmp_path / "clouds.yaml", tmp_path / "dotfiles/clouds.yaml"
    file.symlink_to("between")
    if there:
        target.write_text(MINE)
    up(file)
    assert "password: one" in target.read_text()
    down(file)
    assert os.readlink(file) == "between"
    assert (target.read_text() == MINE) if there else not target.exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    loop, folder, pipe = (tmp_path / name for name in ("loop", "folder", "pipe"))
    loop.symlink_to("loop")
    folder.mkdir()
    os.mkfifo(pipe)
    (tmp_path / "binary").write_bytes(b"\xff")
    for file in (loop, folder, pipe, tmp_path / "binary"):
        with pytest.raises(Failed, match="not one that its programs can read"):
            up(file)


@root
def test_a_link_into_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file = tmp_path / "theirs", tmp_path / "clouds.yaml"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    file.symlink_to(folder / "clouds.yaml")
    with pytest.raises(BadInput, match="another user could"):
        up(file)
    monkeypatch.setenv("SUDO_UID", "65534")
    up(file)
    assert (folder / "clouds.yaml").is_file()
    down(file)
    assert not (folder / "clouds.yaml").exists()


@root
def test_a_planted_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    file, victim = tmp_path / "clouds.yaml", tmp_path / "victim"
    victim.write_text("x")
    (tmp_path / ".clouds.yaml.ouchi").symlink_to(victim)
    up(file)
    assert victim.read_text() == "x"
    assert file.is_file()
