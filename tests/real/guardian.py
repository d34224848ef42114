"""The first of a lab's processes: there from its beginning to its end, however the test ends.

It lives outside the lab, holds the lock that lets one exist at a time, and puts the counts of hugepages back, which
belong to the kernel and so to everybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

STORE = Path("/var/cache/ouchi-tests")
"""Kept between runs."""

LENT = STORE / "hugepages.json"
"""The counts before the lab, for the next guardian when this one is killed."""

LOCK = "/run/lock/ouchi-lab.lock"
LOCK_SECONDS = 3600
END_SECONDS = 60
KEEPER = Path(__file__).with_name("keeper.py")
TIED = ("setpriv", "--pdeathsig", "KILL", "--")
NAMESPACES = ("--mount", "--net", "--uts", "--ipc", "--pid")


def guard(folder: Path) -> None:
    """Be there for a lab from its beginning to its end, however the test ends."""
    try:
        with lent_hugepages():
            try:
                live(folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except (OSError, subprocess.SubprocessError, TimeoutError) as reason:
        print(f"{type(reason).__name__}: {reason}", flush=True)


@contextlib.contextmanager
def lent_hugepages() -> Iterator[None]:
    """Be the only one who changes the machine's counts of hugepages, and put them back."""
    with locked(LOCK, LOCK_SECONDS):
        give_back()
        LENT.write_text(json.dumps({"pages": hugepages(), "others": pages_of_others()}))
        try:
            yield
        finally:
            give_back()


def live(folder: Path) -> None:
    """Start the keeper, say who it is, wait for the end of our input, end the keeper."""
    words = [*TIED, "unshare", *NAMESPACES, "--propagation", "private", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen(
        [*words, sys.executable, str(KEEPER), "keep", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as unshare:
        children: list[str] = []
        try:
            answer = unshare.stdout.readline().strip() if unshare.stdout else ""
            children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
            print(f"keeper {children[0]}" if answer == "ready" and children else answer or "no keeper", flush=True)
            sys.stdin.read()
        finally:
            # The kernel waits with the end of process 1 for all others: then no hugepage is in use.
            if children:
                end(int(children[0]))
            unshare.kill()


def end(process: int) -> None:
    """Kill a process and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(process)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], END_SECONDS)
        finally:
            os.close(handle)


def hugepages() -> dict[str, int]:
    """Every counter of every node."""
    counters = Path("/sys/devices/system/node").glob("node*/hugepages/hugepages-*/nr_hugepages")
    return {str(path): int(path.read_text()) for path in sorted(counters)}


def pages_of_others() -> dict[str, int]:
    """What an ouchi of the machine itself has reserved, by counter, from its journal."""
    try:
        records = json.loads(Path("/var/lib/ouchi/journal.json").read_text())["records"]
    except (OSError, ValueError, TypeError):
        return {}
    found = {}
    for record in records:
        if record["kind"] == "hugepages":
            node, size = record["key"].split(":")
            counter = f"/sys/devices/system/node/node{node}/hugepages/hugepages-{size}kB/nr_hugepages"
            found[counter] = int(record["after"]["pages"]) - int(record["before"]["pages"])
    return found


def give_back() -> None:
    """Put the counts back to what they were, but for what the machine's own ouchi took or gave back meanwhile."""
    try:
        lent = json.loads(LENT.read_text())
    except (OSError, ValueError):
        return
    now = pages_of_others()
    for path, before in lent["pages"].items():
        target = max(0, before + now.get(path, 0) - lent["others"].get(path, 0))
        if hugepages().get(path) != target:
            Path(path).write_text(str(target))
    LENT.unlink()


@contextlib.contextmanager
def locked(path: Path | str, seconds: float) -> Iterator[None]:
    """Hold a lock file; the kernel lets go of it when we die."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} is held by another for {seconds:g} s") from None
                time.sleep(0.2)
        yield


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
