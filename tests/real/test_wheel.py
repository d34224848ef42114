"""The wheel has everything that the source has: scripts, data, the generator. Its tools come from the package index."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

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


def test_uvx_runs_the_wheel(tmp_path: Path) -> None:
    """With nothing installed: its hints name the program by a path, as it is on no path of the user's."""
    build = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), str(ROOT)]
    assert subprocess.run(build, capture_output=True, timeout=300, check=False).returncode == 0
    (wheel,) = tmp_path.glob("*.whl")
    done = subprocess.run(
        [sys.executable, "-m", "uv", "tool", "run", "--from", str(wheel), "ouchi", "doctor", "--site", "nothing"],
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
