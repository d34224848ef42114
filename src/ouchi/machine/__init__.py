"""The only code that touches a computer.

Everything else asks a :class:`Machine`: to run a program, to read, write and remove files. A snapshot of
another computer answers the reading half, so whatever only reads works offline too. A lint rule keeps
``subprocess`` and file access out of the rest of the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, Protocol

from ouchi.core.errors import Failed, error

if TYPE_CHECKING:
    from ouchi.machine.background import Background

Path = str | PurePath
"""Paths at the door are absolute and may be text or pure paths."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a program left: its argument vector, exit status (negative: the signal) and output."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """True when the program ended with status 0."""
        return self.status == 0


@dataclass(frozen=True, slots=True)
class Status:
    """What a path names, a link not followed: its kind, permission bits, owner, group, and a link's whole target."""

    kind: Literal["file", "folder", "link", "other"]
    mode: int
    uid: int
    gid: int
    target: str = ""


class CommandFailed(Failed):
    """A program ended with a status other than 0, or did not end in time; ``host`` where it is not this computer."""

    def __init__(self, result: Result, reason: str = "", host: str = "") -> None:
        self.result = result
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()[-6:]
        super().__init__(
            error(
                f"{result.argv[0]} failed",
                where=(f"{host}: " if host else "") + " ".join(result.argv)[:300],
                found=reason or f"exit status {result.status}" + (": " + " | ".join(said) if said else ""),
                expected="exit status 0",
            )
        )


class Reader(Protocol):
    """The reading half of a machine: what facts are collected through."""

    def read(self, path: Path) -> str:
        """The text of a file (undecodable bytes replaced). Raises :class:`OSError`."""

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        """The bytes of a file: the first ``most`` of them, all when negative. Raises :class:`OSError`."""

    def probe(self, name: str) -> str:
        """What no file tells, as text; empty when it cannot be told. It never raises.

        ``ethtool/<interface>``: lines ``key: value`` from the interface's driver: driver, version, firmware, bus,
        and where it counts them ``rx queues`` and ``tx queues`` in use.
        ``ovs-version``: the version of the installed Open vSwitch (``3.1.0``). ``session``: the address of the host
        that the user's remote session came in on (the third word of sshd's ``SSH_CONNECTION``).
        """

    def exists(self, path: Path) -> bool:
        """True when the path leads to something."""

    def entries(self, path: Path) -> list[str]:
        """The sorted names in a folder; empty when there is no such folder."""

    def link(self, path: Path) -> str:
        """The last component of what a symbolic link points to; empty when it is none."""


class Machine(Reader, Protocol):
    """A computer that can be changed."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 60.0,
        check: bool = True,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        outlive: bool = False,
    ) -> Result:
        """Run a program to its end and return what it said.

        ``timeout`` is in seconds. ``env`` is added to the environment. When ouchi is killed the program is killed
        too, unless it may ``outlive`` us (a package manager, which must not be stopped half-way).
        Raises :class:`CommandFailed` on another status than 0 unless ``check`` is false, and always when the
        program is missing or did not end in time.
        """

    def write(self, path: Path, content: str | bytes, *, mode: int = 0o644, owner: str | None = None) -> None:
        """Replace a file at once (never half-written); its folder must exist."""

    def append(self, path: Path, text: str) -> None:
        """Add to the end of a file; it is with the kernel, out of reach of our own death, when this returns.

        Raises :class:`OSError`.
        """

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> bool:
        """Make a folder and those above it; True when it was not there."""

    def remove(self, path: Path) -> None:
        """Remove a file, link or whole folder; nothing there is fine."""

    def poke(self, path: Path, text: str) -> None:
        """Write into a file of the kernel (``/proc``, ``/sys``), which cannot be replaced. Raises :class:`OSError`."""

    def mode(self, path: Path) -> int:
        """The permission bits of a file. Raises :class:`OSError`."""

    def status(self, path: Path) -> Status | None:
        """What the path itself names; None when there is nothing. Raises :class:`OSError`."""

    def make_link(self, path: Path, target: Path) -> None:
        """Make a symbolic link with this very target, at once in the place of a file or link that is there.

        Raises :class:`OSError`, also where a folder is in the way.
        """

    def hold(self, path: Path, doing: str) -> AbstractContextManager[None]:
        """Hold a lock file (flock(2)) while doing something; it is let go of when we die, however.

        Programs on the machine itself and on others exclude each other by it. Raises
        :class:`~ouchi.core.errors.BadInput` at once when another holds it, with what that one does.
        """

    def interrupt(self) -> None:
        """End every program that runs for us, and let no other start: the user wants to stop."""


class Launcher(Machine, Protocol):
    """A machine on which programs can also run in the background: this computer."""

    def start(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Background:
        """Start a program in the background, its output in the file ``log``.

        Unless the caller ends it, it outlives ouchi. Raises :class:`CommandFailed` when it cannot be started.
        """
