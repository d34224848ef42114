"""A container with a real systemd as its process 1, made of this very machine.

It has this machine's files with an overlay in memory above them, and network and processes of its own, so what
happens inside leaves the machine alone; the counts of hugepages alone are shared. It starts within seconds and needs
no image.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import installed
import pytest

from ouchi.parts import packages

ROOT = Path(__file__).parents[2]
MASKED = [f"systemd.mask={unit if '.' in unit else unit + '.service'}" for unit in sorted(packages.UNITS)]
"""What ouchi keeps from starting when it installs the packages; they may have been installed here before."""

# A mount namespace of its own: the bind mount goes with it.
BOOT = """
mount --bind / "$1"
shift
exec systemd-nspawn --quiet --boot --register=no --keep-unit --volatile=overlay --private-network --console=pipe "$@"
"""


@contextlib.contextmanager
def systemd(folder: Path, *options: str) -> Iterator[int]:
    """The number of a systemd that is process 1 of its container; ``options`` are systemd-nspawn's own."""
    installed.require(installed.CONTAINER)
    root, log = folder / "root", folder / "boot.log"
    root.mkdir()
    own = [f"--directory={root}", f"--machine=ouchi-test-{os.getpid()}", f"--bind-ro={ROOT}", f"--bind-ro={sys.prefix}"]
    with log.open("w") as output:
        boot = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "sh",
                "-ec",
                BOOT,
                "sh",
                str(root),
                *own,
                *options,
                "systemd.unit=basic.target",
                *MASKED,
            ],
            # The kernel's own settings can be written, as on a machine; hugepages are reserved there.
            env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield _first_process(boot, log)
    finally:
        boot.terminate()  # nspawn then asks its systemd to power off
        try:
            boot.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(boot.pid, signal.SIGKILL)
            boot.wait()


def run(systemd: int, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program beside a container's systemd, to its end, in the folder of this checkout."""
    inside = ["nsenter", f"--target={systemd}", "--all", f"--wdns={ROOT}"]
    return subprocess.run([*inside, *argv], capture_output=True, text=True, timeout=timeout, check=False)


def _first_process(boot: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until the container's systemd says that it has started."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and boot.poll() is None:
        for word in Path(f"/proc/{boot.pid}/task/{boot.pid}/children").read_text().split():
            ask = ["nsenter", f"--target={word}", "--all", "systemctl", "is-system-running"]
            output = subprocess.run(ask, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
            if output in ("running", "degraded"):
                return int(word)
        time.sleep(0.2)
    pytest.fail(f"systemd did not start in its container: {log.read_text()[-1000:]}")
