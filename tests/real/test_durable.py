"""Journal and rescue script are on disk before a change is made, wherever the power fails (``power_cut.py``)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import installed
import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")

HERE = Path(__file__).parent
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def cut(folder: Path, how: str) -> dict[str, Any]:
    installed.require(installed.FUSE)
    words = [*NAMESPACES, sys.executable, "-P", "-B", str(HERE / "power_cut.py"), str(folder), how]
    path = ":".join(str(one) for one in (HERE.parents[1] / "src", HERE.parents[1], HERE))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("how", ["local", pytest.param("ssh", marks=pytest.mark.exhaustive)])
def test_no_change_is_ahead_of_the_journal(tmp_path: Path, how: str) -> None:
    found = cut(tmp_path, how)
    assert found["moments"] > 50
    assert found["wrong"] == {}


def test_a_write_that_is_not_synced_is_found(tmp_path: Path) -> None:
    assert any("was changed and the journal" in text for text in cut(tmp_path, "unsynced")["wrong"])
