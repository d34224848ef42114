"""The whole of ``up`` and ``down`` where systemd is process 1, as on a server: ouchi's services are its units."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container import run, systemd
from guardian import lent_hugepages
from keeper import CACHE
from lab import SOURCE, prepare_cache

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root")

OUCHI = ("env", "-C", "/root", f"PYTHONPATH={SOURCE}", "PYTHONDONTWRITEBYTECODE=1", sys.executable, "-m", "ouchi")
UNITS = ("systemctl", "list-units", "--all", "--plain", "--no-legend", "ouchi*")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A machine of its own with all packages, whose process 1 is systemd."""
    prepare_cache()
    shared = (
        f"--bind={CACHE}:/var/lib/ouchi/cache",
        "--bind=/dev/net/tun",
        "--capability=all",
        "--bind-ro=/sys/module",
    )
    with lent_hugepages(), systemd(tmp_path_factory.mktemp("systemd"), *shared) as first:
        yield first


def ouchi(machine: int, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run ouchi inside; its site file lies in a folder of its own."""
    return run(machine, [*OUCHI, *words], timeout)


def test_up_is_killed(machine: int) -> None:
    """In the middle, without warning. The next test is the same command again: it finishes."""
    words = ["nsenter", f"--target={machine}", "--all", "setpriv", "--pdeathsig", "KILL", "--", *OUCHI, "up", "--json"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as gate:
        assert gate.stderr
        try:
            events = (json.loads(line) for line in gate.stderr if line.startswith("{"))
            assert ("cloud", "changed") in ((event["stage"], event["kind"]) for event in events), "it ended before"
        finally:
            gate.kill()
    assert any("ouchi" in str(path) for path in units_on_disk(machine))


def test_up_as_units(machine: int) -> None:
    done = ouchi(machine, "up", "--json", timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    assert [check for check in summary["verified"]["checks"] if check["result"] != "ok"] == []
    units = [line.split() for line in run(machine, UNITS, 20).stdout.splitlines()]
    assert {words[2] for words in units if words[0].endswith(".service")} == {"active"}
    assert any("nova-compute" in words[0] for words in units)


def test_a_killed_daemon_is_started_by_systemd(machine: int) -> None:
    (unit,) = [line.split()[0] for line in run(machine, UNITS, 20).stdout.splitlines() if "nova-scheduler" in line]
    run(machine, ["systemctl", "kill", "--signal=KILL", unit], 20)
    deadline = time.monotonic() + 30
    # It counts as started again before it is of use.
    while not _restarted(status := json.loads(ouchi(machine, "status", "--json").stdout)):
        assert time.monotonic() < deadline, status
        time.sleep(0.5)


def _restarted(status: dict[str, Any]) -> bool:
    """Whether a service was restarted and all is healthy."""
    services = [service for part in status["parts"] for service in part["services"]]
    return bool(status["healthy"] and any(service["restarts"] for service in services))


def test_down_leaves_no_unit(machine: int) -> None:
    done = ouchi(machine, "down", timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    assert run(machine, UNITS, 20).stdout == ""
    assert not any("ouchi" in str(path) for path in units_on_disk(machine))


def units_on_disk(machine: int) -> list[Path]:
    """Unit files and links, as process 1 sees them."""
    root = Path(f"/proc/{machine}/root")
    return [path for top in ("run", "etc") for path in (root / top / "systemd").rglob("*")]
