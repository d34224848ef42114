"""Process 1 of a lab, which furnishes it, and what looks around from inside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from guardian import STORE

CACHE = STORE / "below" / "ouchi" / "cache"
"""Every lab's /var/lib/ouchi/cache, seen through an overlay."""

OWN = ("/etc", "/usr", "/var/lib", "/var/log")
"""Folders that a lab sees as they are and changes only for itself."""

HIDDEN = ("/var/log/ouchi", "/etc/openstack")
"""What an ouchi of the machine itself may make at any time; a lab begins without."""

Snapshot = dict[str, Any]
GONE = ["removed"]
"""How an overlay remembers that a file below it was removed (a device 0:0), described."""


def keep(folder: Path) -> None:
    """Make the lab from inside, say so, then be its process 1: collect what has ended."""
    furnish(folder)
    print("ready", flush=True)
    sys.stdout.close()
    os.close(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, 1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def furnish(folder: Path) -> None:
    """The lab's own /run, /sys, /dev/shm and folders, its loopback device and its name."""

    def do(*words: str) -> None:
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in reversed(points):
        if point.startswith(("/run/", "/var/lib/ouchi", "/var/log/ouchi")):
            do("umount", "--lazy", point)
    for number, path in enumerate(OWN):
        upper, work = folder / f"upper{number}", folder / f"work{number}"
        upper.mkdir()
        work.mkdir()
        shutil.copystat(path, upper)
        lower = f"{CACHE.parents[1]}:{path}" if path == "/var/lib" else path
        do("mount", "-t", "overlay", "lab", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", path)
    for path in HIDDEN:
        shutil.rmtree(path, ignore_errors=True)
    do("mount", "-t", "tmpfs", "-o", "mode=0755", "lab", "/run")
    do("mount", "-t", "tmpfs", "lab", "/dev/shm")
    Path("/run/lock").mkdir(mode=0o1777)
    do("mount", "-t", "sysfs", "lab", "/sys")
    do("hostname", "lab")
    do("ip", "link", "set", "lo", "up")


# --- looking, from inside


def look() -> Snapshot:
    """The lab as ``down`` must leave it: processes, mounts, network, sockets, files outside ouchi's own folders."""
    run = lambda *words: subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: E731
    return {
        "processes": sorted(" ".join(argv) for argv in processes().values()),
        "mounts": Path("/proc/self/mounts").read_text().splitlines(),
        "devices": sorted(os.listdir("/sys/class/net")),
        "namespaces": sorted(os.listdir("/run/netns")) if Path("/run/netns").exists() else [],
        "addresses": re.findall(r"\binet6? (\S+)", run("ip", "address")),
        "routes": run("ip", "route", "show", "table", "all").splitlines(),
        "sockets": sorted(" ".join(line.split()[:6]) for line in run("ss", "-Hltunx").splitlines()),
        "run": files(Path("/run")),
    }


def processes() -> dict[int, list[str]]:
    """Command lines by number, without process 1, ourselves and those that brought us here."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1" and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                state = Path(f"/proc/{name}/stat").read_text().rsplit(") ", 1)[1][0]
                words = Path(f"/proc/{name}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
                found[int(name)] = words or [f"({state})"]
    return found


def files(top: Path) -> dict[str, list[str]]:
    """Everything below a folder by path, but for ouchi's own folders."""
    found = {}
    for folder, folders, names in os.walk(top):
        # The lock file stays: removing it would let two hold it. A removed folder is seen as a file.
        folders[:] = [name for name in folders if name != "ouchi"]
        for path in (Path(folder), *(Path(folder) / name for name in names if name not in ("ouchi", "ouchi.lock"))):
            if what := describe(path):
                found[str(path)] = what
    return found


def describe(path: Path) -> list[str]:
    """A file's mode, owner and content (digest or target); nothing when there is none."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            return GONE
        else:
            content = ""
    except FileNotFoundError:
        return []
    return [oct(status.st_mode), f"{status.st_uid}:{status.st_gid}", content]


def main(words: list[str]) -> None:
    """What runs inside a lab."""
    match words:
        case ["keep", folder]:
            keep(Path(folder))
        case ["look"]:
            print(json.dumps(look()))
        case ["processes"]:
            print(json.dumps(processes()))


if __name__ == "__main__":
    main(sys.argv[1:])
