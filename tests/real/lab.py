"""A machine of its own on this machine, for tests that change everything.

A lab is a set of namespaces (mounts, processes, network, host name, IPC) with folders of its own over ``/run``,
``/etc``, ``/var/lib`` and ``/var/log``: what happens inside leaves the machine alone. Two things are shared. The
counts of hugepages belong to the kernel, so one lab at a time exists and they are put back at its end. The OpenStack
environment and the guest image are made once, with the network that a lab has not, and lie below every lab.

Three processes make a lab: the *guardian*, which waits for the end of the test that holds its pipe and then cleans
up; ``unshare``; and the *keeper*, process 1 of the lab, whose end is the end of everything inside.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

SOURCE = Path(__file__).resolve().parents[2] / "src"
STORE = Path("/var/cache/ouchi-tests")
"""Kept between runs: ``below/ouchi/cache`` is every lab's /var/lib/ouchi/cache, seen through an overlay."""

CACHE = STORE / "below" / "ouchi" / "cache"
LENT = STORE / "hugepages.json"
"""The counts before the lab, for the next guardian when this one is killed."""

LOCK = "/run/lock/ouchi-lab.lock"
LOCK_SECONDS = 900
OWN = ("/etc", "/usr", "/var/lib", "/var/log")
"""Folders that a lab sees as they are and changes only for itself."""

HIDDEN = ("/var/log/ouchi", "/etc/openstack")
"""What an ouchi of the machine itself may make at any time; a lab begins without."""

NOBODYS = ("/var/lib/libuuid/clock.txt",)
"""What any program that asks for a UUID changes."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIED = ("setpriv", "--pdeathsig", "KILL", "--")
NAMESPACES = ("--mount", "--net", "--uts", "--ipc", "--pid")
Snapshot = dict[str, Any]
GONE = ["removed"]
"""How an overlay remembers that a file below it was removed (a device 0:0), described."""


class Lab:
    """``with Lab(tmp_path) as lab:``. ``folder`` is scratch; ``lab.home`` is the current folder of what runs inside."""

    def __init__(self, folder: Path) -> None:
        prepare_cache()
        self.folder = folder / "lab"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True)
        words = [sys.executable, __file__, "guard", str(self.folder)]
        # Its stdin is the test's hold on the lab: closed by close(), or by the kernel when the test dies.
        self._guardian = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        answer = self._guardian.stdout.readline() if self._guardian.stdout else ""
        if not answer.startswith("keeper "):
            self.close()
            raise RuntimeError(f"no lab: {answer or 'its guardian ended'}")
        self.keeper = int(answer.split()[1])
        """The lab's process 1 as this machine numbers it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything inside, give hugepages back, remove the scratch folder."""
        self._guardian.communicate(timeout=60)

    def argv(self, words: Sequence[str]) -> list[str]:
        """A command line that runs ``words`` inside; killing its process kills what runs inside too."""
        enter = ["nsenter", "--target", str(self.keeper), *NAMESPACES, "--", *TIED]
        return [*enter, "env", "-C", str(self.home), *words]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the caller's own but where Python is."""
        return {
            "PATH": PATH,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(
        self, argv: Sequence[str], *, timeout: float = 60, check: bool = True, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end. A status other than 0 fails with all that was printed."""
        done = subprocess.run(
            self.argv(argv), env=self.environment, input=input, stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{argv} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done

    def ouchi(self, *words: str, timeout: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ouchi inside, from this checkout."""
        return self.run([sys.executable, "-m", "ouchi", *words], timeout=timeout, check=check)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ouchi inside and go on. The process returned is its gate: see :meth:`pid`."""
        return self.start_program([sys.executable, "-m", "ouchi", *words])

    def start_program(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start any program inside and go on."""
        return subprocess.Popen(
            self.argv(argv), env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def pid(self, gate: subprocess.Popen[str]) -> int:
        """The program itself behind the gate, as this machine numbers it; 0 when it has not started or has ended."""
        with contextlib.suppress(OSError):
            for word in Path(f"/proc/{gate.pid}/task/{gate.pid}/children").read_text().split():
                if Path(f"/proc/{word}/exe").readlink().name not in ("nsenter", "setpriv", "env"):
                    return int(word)
        return 0

    def signal(self, gate: subprocess.Popen[str], number: int) -> None:
        """Send a signal to the program itself."""
        deadline = time.monotonic() + 5
        while not (pid := self.pid(gate)) and gate.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill9(self, gate: subprocess.Popen[str]) -> None:
        """Kill the program at once, and nothing else; returns when it is gone."""
        self.signal(gate, signal.SIGKILL)
        gate.communicate(timeout=20)

    def path(self, inside: str) -> Path:
        """A file of the lab, as seen from outside."""
        return Path(f"/proc/{self.keeper}/root{inside}")

    def snapshot(self) -> Snapshot:
        """Everything that ``down`` is to put back; see :func:`look`. Compare two with :func:`difference`.

        Hugepages are counted without those that an ouchi of the machine itself holds at this moment.
        """
        found: Snapshot = json.loads(self.run([sys.executable, __file__, "look"]).stdout)
        others = pages_of_others()
        return found | {
            "files": {
                path: what for number, top in enumerate(OWN) for path, what in self._changed(number, top).items()
            },
            "hugepages": {path: count - others.get(path, 0) for path, count in hugepages().items()},
        }

    def _changed(self, number: int, top: str) -> dict[str, list[str]]:
        """What differs from the machine's own files below a folder, but for ouchi's own: the overlay holds only that.

        A file that was written anew as it had been does not differ.
        """
        upper = self.folder / f"upper{number}"
        inside = {f"{top}{path.removeprefix(str(upper))}": what for path, what in files(upper).items()}

        def differs(path: str, what: list[str]) -> bool:
            if path.startswith(HIDDEN):  # what the machine has there now says nothing
                return what != GONE
            return path not in NOBODYS and describe(Path(path)) != what

        return {path: what for path, what in inside.items() if differs(path, what)}

    def processes(self) -> dict[int, list[str]]:
        """The command lines of everything that runs inside, by the lab's own numbers."""
        words = [sys.executable, __file__, "processes"]
        return {int(pid): argv for pid, argv in json.loads(self.run(words).stdout).items()}

    def services(self) -> dict[str, list[int]]:
        """The processes of each of ouchi's services, by the mark they carry, in the lab's own numbers."""
        found: dict[str, list[int]] = {}
        for pid in self.processes():
            with contextlib.suppress(OSError):
                data = self.path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
                if mark := re.search(r"(?:^|\0)OUCHI_SERVICE=([^\0]+)", data):
                    found.setdefault(mark[1], []).append(pid)
        return found


def difference(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """What differs between two snapshots; empty when the machine is as it was."""
    found: dict[str, Any] = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
            found[key] = {name: (old.get(name), new.get(name)) for name in sorted(changed)}
        elif isinstance(old, list) and isinstance(new, list):
            found[key] = {"gone": [x for x in old if x not in new], "new": [x for x in new if x not in old]}
        else:
            found[key] = (old, new)
    return found


# --- the store

PREPARE = """
from ouchi.cloud import environment
from ouchi.instance import Instance
from ouchi.journal import Journal
from ouchi.machine.local import LocalMachine
from ouchi.steps import packages
from ouchi.up import PACKAGES
from ouchi.vnf.image import BUILD_PACKAGES, build_image
import sys
machine, instance = LocalMachine(), Instance()
say = lambda text: print(text, file=sys.stderr)
packages.install(machine, Journal(machine, sys.argv[1]), (*PACKAGES, *BUILD_PACKAGES), say)
environment.install(machine, instance, say)
environment.link_libvirt(machine, instance)
build_image(machine, f"{instance.cache}/images", say)
"""


def prepare_cache() -> None:
    """Make what labs share, with ouchi's own functions and under the path that it will have inside.

    Python's environments hold their own path, so it is made in a mount namespace where the store lies there.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    # An overlay shows nothing of the layers below this folder: not the machine's own instance.
    os.setxattr(CACHE.parent, "trusted.overlay.opaque", b"y")
    with locked(STORE / "lock", LOCK_SECONDS):
        real = Path("/var/lib/ouchi")
        made = [folder for folder in (real, real / "cache") if not folder.exists()]
        for folder in made:
            folder.mkdir()
        bind = f'mount --bind {CACHE} /var/lib/ouchi/cache && exec "$@"'
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", bind, "sh"]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        try:
            subprocess.run(
                [*words, sys.executable, "-c", PREPARE, str(STORE)], env=environment, check=True, timeout=1800
            )
        finally:
            for folder in reversed(made):
                with contextlib.suppress(OSError):
                    folder.rmdir()


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


# --- the guardian


def guard(folder: Path) -> None:
    """Be there for a lab from its beginning to its end, however the test ends."""
    try:
        with locked(LOCK, LOCK_SECONDS):
            give_back()
            LENT.write_text(json.dumps({"pages": hugepages(), "others": pages_of_others()}))
            try:
                live(folder)
            finally:
                give_back()
                shutil.rmtree(folder, ignore_errors=True)
    except (OSError, subprocess.SubprocessError, TimeoutError) as reason:
        print(f"{type(reason).__name__}: {reason}", flush=True)


def live(folder: Path) -> None:
    """Start the keeper, say who it is, wait for the end of our input, end the keeper."""
    words = [*TIED, "unshare", *NAMESPACES, "--propagation", "private", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen(
        [*words, sys.executable, __file__, "keep", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as unshare:
        try:
            answer = unshare.stdout.readline().strip() if unshare.stdout else ""
            children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
            print(f"keeper {children[0]}" if answer == "ready" and children else answer or "no keeper", flush=True)
            sys.stdin.read()
            if children:
                os.kill(int(children[0]), signal.SIGKILL)
        finally:
            unshare.kill()


def hugepages() -> dict[str, int]:
    """Every counter of every node."""
    counters = Path("/sys/devices/system/node").glob("node*/hugepages/hugepages-*/nr_hugepages")
    return {str(path): int(path.read_text()) for path in sorted(counters)}


def pages_of_others() -> dict[str, int]:
    """What an ouchi of the machine itself has reserved, by counter, from its journal."""
    try:
        entries = json.loads(Path("/var/lib/ouchi/journal.json").read_text())
    except (OSError, ValueError):
        return {}
    found = {}
    for kind, key, record in entries:
        if kind == "hugepages":
            node, size = key.split(":")
            found[f"/sys/devices/system/node/node{node}/hugepages/hugepages-{size}kB/nr_hugepages"] = int(
                record["ours"]
            )
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


# --- the keeper


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
    """What the lab's own processes run."""
    match words:
        case ["guard", folder]:
            guard(Path(folder))
        case ["keep", folder]:
            keep(Path(folder))
        case ["look"]:
            print(json.dumps(look()))
        case ["processes"]:
            print(json.dumps(processes()))


if __name__ == "__main__":
    main(sys.argv[1:])
