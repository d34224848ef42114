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
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import installed
from guardian import LOCK_SECONDS, NAMESPACES, STORE, TIED, hugepages, locked, pages_of_others
from keeper import CACHE, GONE, HIDDEN, OWN, Snapshot, describe, files

SOURCE = Path(__file__).resolve().parents[2] / "src"
GUARDIAN, KEEPER = (Path(__file__).with_name(name) for name in ("guardian.py", "keeper.py"))
NOBODYS = ("/var/lib/libuuid/clock.txt",)
"""What any program that asks for a UUID changes."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Lab:
    """``with Lab(tmp_path) as lab:``. ``folder`` is scratch; ``lab.home`` is the current folder of what runs inside."""

    def __init__(self, folder: Path) -> None:
        prepare_cache()
        self.folder = folder / "lab"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True)
        words = [sys.executable, str(GUARDIAN), str(self.folder)]
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
        # Tests that run in the background ignore Ctrl-C; what is tested must not.
        return [*enter, "env", "--default-signal=INT", "-C", str(self.home), *words]

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
        """Start ouchi inside and continue. The process returned is its gate: see :meth:`pid`."""
        return self.start_program([sys.executable, "-m", "ouchi", *words])

    def start_program(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start any program inside and continue."""
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
        """Everything that ``down`` is to put back; see :func:`keeper.look`. Compare two with :func:`difference`.

        Hugepages are counted without those that an ouchi of the machine itself holds at this moment.
        """
        found: Snapshot = json.loads(self.run([sys.executable, str(KEEPER), "look"]).stdout)
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
        words = [sys.executable, str(KEEPER), "processes"]
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
from ouchi.parts.openstack import binding, environment
from ouchi.core.instance import Instance
from ouchi.machine.local import LocalMachine
from ouchi.vnf.images.small import build_image
import sys
machine, instance = LocalMachine(), Instance()
say = lambda text: print(text, file=sys.stderr)
environment.install(machine, instance, say)
binding.link(machine, instance)
build_image(machine, f"{instance.cache}/images", say)
"""


@functools.cache
def prepare_cache() -> None:
    """Make what labs share, once in a process, with ouchi's own functions and under the path that it will have inside.

    Python's environments hold their own path, so it is made in a mount namespace where the store lies there.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    # An overlay shows nothing of the layers below this folder: not the machine's own instance.
    os.setxattr(CACHE.parent, "trusted.overlay.opaque", b"y")
    with locked(STORE / "lock", LOCK_SECONDS):
        installed.require(installed.LAB)
        real = Path("/var/lib/ouchi")
        made = [folder for folder in (real, real / "cache") if not folder.exists()]
        for folder in made:
            folder.mkdir()
        bind = f'mount --bind {CACHE} /var/lib/ouchi/cache && exec "$@"'
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", bind, "sh"]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        try:
            subprocess.run([*words, sys.executable, "-c", PREPARE], env=environment, check=True, timeout=1800)
        finally:
            for folder in reversed(made):
                with contextlib.suppress(OSError):
                    folder.rmdir()
