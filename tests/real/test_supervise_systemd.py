"""What a supervisor promises, held by a real systemd as process 1."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from container import run, systemd

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root")


def test_the_same_holds_under_systemd(tmp_path: Path) -> None:
    tests = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/real/test_supervise.py"]
    with systemd(tmp_path) as first:
        done = run(first, tests, timeout=240)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
