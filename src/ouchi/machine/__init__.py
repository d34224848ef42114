"""The only package that starts processes and opens files of a host.

All other code does so through a :class:`Machine`: this machine, or a host that is reached by ssh. A snapshot of a host is
a :class:`Reader`, so whatever only reads works offline too. ``tests/unit/test_door.py`` and a lint rule keep
``subprocess`` and file access out of the rest of the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from ouchi.core.errors import Failed, error

Path = str | PurePath
"""Paths of a machine are absolute, and text or pure paths."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a program: its argument vector, exit status (negative: the signal) and output."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """True when the program ended with status 0."""
        return self.status == 0


class CommandFailed(Failed):
    """A program ended with a status other than 0, or did not end in time; ``host`` where it is not this machine."""

    def __init__(self, result: Result, reason: str = "", host: str = "") -> None:
        self.result = result
        output = (result.stderr.strip() or result.stdout.strip()).splitlines()[-6:]
        super().__init__(
            error(
                f"{result.argv[0]} failed",
                where=(f"{host}: " if host else "") + " ".join(result.argv)[:300],
                found=reason or f"exit status {result.status}" + (": " + " | ".join(output) if output else ""),
                expected="exit status 0",
            )
        )


class Reader(Protocol):
    """The reading methods of a machine, through which facts are collected."""

    def read(self, path: Path) -> str:
        """The text of a file (undecodable bytes replaced). Raises :class:`OSError`."""

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        """The bytes of a file: the first ``most`` of them, all when negative. Raises :class:`OSError`."""

    def probe(self, name: str) -> str:
        """Information that is in no file, as text; empty when it is not available. Never raises.

        ``ethtool/<interface>``: lines ``key: value`` from the interface's driver: driver, version, firmware, bus,
        and the ``rx queues`` and ``tx queues`` in use where the driver reports them.
        ``ovs-version``: the version of the installed Open vSwitch (``3.1.0``). ``rdma``: the queue pairs of RDMA devices
        (``rdma resource show qp``). ``session``: the address of the host
        that the user's remote session came in on (the third word of sshd's ``SSH_CONNECTION``).
        """

    def exists(self, path: Path) -> bool:
        """True when the path leads to something."""

    def entries(self, path: Path) -> list[str]:
        """The sorted names in a folder; empty when there is no such folder."""

    def link(self, path: Path) -> str:
        """The last component of the target of a symbolic link; empty when it is no link."""


class Machine(Reader, Protocol):
    """A host that can be changed."""

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
        """Run a program to its end and return its result.

        ``timeout`` is in seconds. ``env`` is added to the environment. When ouchi is killed, the program is killed too,
        unless it may ``outlive`` ouchi (a package manager, which must not be stopped half-way).
        Raises :class:`CommandFailed` on another status than 0 unless ``check`` is false, and always when the
        program is missing or did not end in time.
        """

    def write(self, path: Path, content: str | bytes, *, mode: int = 0o644, owner: str | None = None) -> None:
        """Write a file, replacing it atomically; its folder must exist."""

    def append(self, path: Path, text: str) -> None:
        """Append to a file; when this returns, the kernel has the text, so it is not lost when ouchi is killed.

        Raises :class:`OSError`.
        """

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> bool:
        """Make a folder and its parents; True when it did not exist."""

    def remove(self, path: Path) -> None:
        """Remove a file, a link or a folder with its contents; it need not exist."""

    def poke(self, path: Path, text: str) -> None:
        """Write to a file of the kernel (``/proc``, ``/sys``), which cannot be replaced. Raises :class:`OSError`."""

    def mode(self, path: Path) -> int:
        """The permission bits of a file. Raises :class:`OSError`."""

    def kind(self, path: Path) -> str:
        """``file``, ``folder``, ``link`` (not followed) or ``other``; empty for nothing. Raises :class:`OSError`."""

    def hold(self, path: Path, command: str) -> AbstractContextManager[None]:
        """Hold a lock file (flock(2)) inside the context; the kernel releases it when ouchi ends, however it does.

        ``command`` is shown to others that want the lock. Raises :class:`~ouchi.core.errors.BadInput` at once
        when another process holds it, here or by ssh, with its command.
        """

    def interrupt(self) -> None:
        """End all programs that ouchi runs there, and start no others: the user interrupted it."""
