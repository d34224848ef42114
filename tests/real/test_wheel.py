"""The wheel has everything that the source has: scripts, data, the generator. Its tools come from the package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import ouchi

ROOT = Path(__file__).resolve().parents[2]


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """Built from the source archive, as an index's visitors do, and started."""
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", str(tmp_path / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    there = content(tmp_path / "installed" / "ouchi")
    expected = content(ROOT / "src" / "ouchi")
    expected |= {f"generator/{name}": text for name, text in content(ROOT / "generator").items()}
    assert sorted(expected.keys() - there.keys()) == []
    assert [name for name, text in expected.items() if there[name] != text] == []
    assert {Path(name).suffix for name in there} > {".py", ".sh", ".json", ".sql", ".css", ".js", ".c"}
    started = subprocess.run(
        [sys.executable, "-m", "ouchi", "inspect", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr


def wheel(folder: Path) -> str:
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (found,) = folder.glob("*.whl")
    return str(found)


def git_address(folder: Path) -> str:
    """A repository of its own with these sources: the tests may run without one."""
    no_copy = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "build", "dist")
    shutil.copytree(ROOT, folder / "repository", symlinks=True, ignore=no_copy)
    git = ["git", "-C", str(folder / "repository"), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=sources"]):
        subprocess.run([*git, *words], check=True, capture_output=True, timeout=60)
    return f"git+file://{folder}/repository"


@pytest.mark.parametrize("source", [wheel, git_address])
def test_uvx(source: Callable[[Path], str], tmp_path: Path) -> None:
    """With nothing installed: its hints name the program by a path, as it is on no path of the user's."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", "tool", "run", "--from", source(tmp_path), "ouchi", "doctor", "--site", "nothing"],
        env={**os.environ, "UV_TOOL_DIR": str(tmp_path / "tools")},
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    hint = re.search(r"^  next: +(/\S+/ouchi) plan$", done.stderr, re.MULTILINE)
    assert hint, done.stderr
    assert (
        subprocess.run([hint[1], "version"], capture_output=True, text=True, check=True).stdout
        == f"ouchi {ouchi.__version__}\n"
    )
