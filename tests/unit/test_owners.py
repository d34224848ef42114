"""Where root may write for its users: never through folders, links and pipes of others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ouchi.core.errors import BadInput
from ouchi.machine import owners
from ouchi.machine.local import LocalMachine
from ouchi.machine.owners import require_own

NOBODY = 65534
root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")


def folder(path: Path, uid: int = 0, mode: int = 0o755) -> None:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, uid, uid)


def link(path: Path, target: str, uid: int = 0) -> None:
    path.symlink_to(target)
    os.chown(path, uid, uid, follow_symlinks=False)


def pipe(path: Path, uid: int) -> None:
    os.mkfifo(path)
    os.chown(path, uid, uid)


def nothing(_path: Path) -> None:
    return


CASES: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    "a new file": (nothing, "x", True),
    "new folders": (nothing, "a/b/c", True),
    "root's folder": (lambda top: folder(top / "a"), "a/x", True),
    "another user's folder": (lambda top: folder(top / "a", NOBODY), "a", False),
    "in another user's folder": (lambda top: folder(top / "a", NOBODY), "a/x", False),
    "back out of another user's folder": (lambda top: folder(top / "a", NOBODY), "a/../x", False),
    "root's folder in another user's": (lambda top: (folder(top / "a", NOBODY), folder(top / "a/b")), "a/b/x", False),
    "a sticky folder": (lambda top: folder(top / "a", 0, 0o1777), "a/x", True),
    "a link planted in a sticky folder": (
        lambda top: (folder(top / "a", 0, 0o1777), folder(top / "b"), link(top / "a/x", "../b", NOBODY)), "a/x/y", False,
    ),
    "a planted link to nothing": (lambda top: (folder(top / "a", 0, 0o1777), link(top / "a/x", "/n/y", NOBODY)), "a/x", False),
    "root's link": (lambda top: (folder(top / "b"), link(top / "l", "b/file")), "l", True),
    "root's link into another user's folder": (lambda top: (folder(top / "b", NOBODY), link(top / "l", "b/file")), "l", False),
    "a link to root's link to another user's folder": (
        lambda top: (folder(top / "b", NOBODY), link(top / "l", "b"), link(top / "m", "l")), "m/x", False,
    ),
    "a loop": (lambda top: link(top / "l", "l"), "l", True),
    "another user's pipe": (lambda top: pipe(top / "p", NOBODY), "p", False),
    "root's pipe": (lambda top: pipe(top / "p", 0), "p", True),
    "another user's file, which is replaced": (
        lambda top: ((top / "f").touch(), os.chown(top / "f", NOBODY, NOBODY)), "f", True,
    ),
}  # fmt: skip


@root
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sudo", [False, True])
def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sudo: bool) -> None:
    """With sudo, what the calling user owns is as good as root's."""
    prepare, path, allowed = CASES[name]
    prepare(tmp_path)
    monkeypatch.delenv("SUDO_UID", raising=False)
    if sudo:
        monkeypatch.setenv("SUDO_UID", str(NOBODY))
    if allowed or sudo:
        require_own(tmp_path / path)
        return
    with pytest.raises(BadInput, match=f"belongs to user id {NOBODY}"):
        require_own(tmp_path / path)


def test_devices_and_standard_streams() -> None:
    for path in ("/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/2"):
        require_own(path)


@pytest.mark.parametrize("sudo", ["", "x", "-1", "9" * 5000, "²"])
def test_a_user_of_sudo_that_is_none(monkeypatch: pytest.MonkeyPatch, sudo: str) -> None:
    monkeypatch.setenv("SUDO_UID", sudo)
    assert owners.trusted_uids() == {0, os.geteuid(), os.stat(owners.__file__).st_uid}


def test_in_a_user_namespace_nothing_is_refused(tmp_path: Path) -> None:
    """There root is a user of the host, and other users' files have one owner, even ``/``."""
    code = f"from ouchi.machine.owners import require_own; require_own({str(tmp_path / 'x')!r})"
    words = ["unshare", "-Ur"]
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces")
    source = Path(owners.__file__).parents[2]
    subprocess.run([*words, sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(source)})


@root
def test_appending_follows_no_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("x")
    link(tmp_path / "l", "victim", NOBODY)
    with pytest.raises(OSError, match="l"):
        LocalMachine().append(tmp_path / "l", "y")
    assert victim.read_text() == "x"
