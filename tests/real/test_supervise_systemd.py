"""What a supervisor promises, held by a real systemd as PID 1 of a container made of this very machine.

The container has this machine's files with an overlay in memory above them, and network and processes of its
own, so nothing in it reaches what is outside. It starts within seconds and needs no image.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root"),
    pytest.mark.skipif(not shutil.which("systemd-nspawn"), reason="systemd-nspawn comes with systemd-container"),
    pytest.mark.skipif(not Path("/lib/systemd/systemd").exists(), reason="needs systemd"),
]

BOOT = """
mount --bind / "$1"
exec systemd-nspawn --quiet --boot --register=no --keep-unit --machine="$2" --directory="$1" --volatile=overlay \
    --private-network --console=pipe --bind-ro="$3" --bind-ro="$4" systemd.unit=basic.target
"""


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[int]:
    """The number of a systemd that is PID 1 in its container."""
    (tmp_path / "root").mkdir()
    arguments = [str(tmp_path / "root"), f"ouchi-test-{os.getpid()}", str(ROOT), sys.prefix]
    with (tmp_path / "boot.log").open("w") as log:
        # A mount namespace of its own: the bind mount goes with it.
        boot = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", BOOT, "sh", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield _first_process(boot, tmp_path / "boot.log")
    finally:
        boot.terminate()  # nspawn then asks its systemd to power off
        try:
            boot.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(boot.pid, signal.SIGKILL)
            boot.wait()


def test_the_same_holds_under_systemd(systemd: int) -> None:
    inside = ["nsenter", f"--target={systemd}", "--all", f"--wdns={ROOT}"]
    tests = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/real/test_supervise.py"]
    done = subprocess.run([*inside, *tests], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def _first_process(boot: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until the container's systemd says that it has started."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and boot.poll() is None:
        children = Path(f"/proc/{boot.pid}/task/{boot.pid}/children").read_text().split()
        for pid in map(int, children):
            ask = ["nsenter", f"--target={pid}", "--all", "systemctl", "is-system-running"]
            said = subprocess.run(ask, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
            if said in ("running", "degraded"):
                return pid
        time.sleep(0.2)
    pytest.fail(f"systemd did not start in its container: {log.read_text()[-1000:]}")
