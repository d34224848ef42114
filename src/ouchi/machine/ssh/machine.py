"""A host that is reached by ssh, with the OpenSSH client; nothing is installed there.

The host needs a POSIX shell, coreutils, findutils, GNU grep and flock. Each call is one round trip; what reads many
files goes through :mod:`ouchi.machine.gather`.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Self

from ouchi.core.errors import Interrupted
from ouchi.machine import CommandFailed, Path, Result
from ouchi.machine.lock import lock_error
from ouchi.machine.logged import Entry, logged
from ouchi.machine.ssh.address import Address, parse_address
from ouchi.machine.ssh.connection import Connection
from ouchi.machine.ssh.sessions import Ended, Session
from ouchi.machine.ssh.unreachable import too_few_sessions

FILE_SECONDS = 60.0
"""How long reading or writing one file may take."""

_ERRNO: Final = {os.strerror(number): number for number in range(1, 134)}
_KINDS: Final = {b"f": "file", b"d": "folder", b"l": "link"}
_BUSY = 75

_WRITE = """
[ ! -d "$1" ] || [ -L "$1" ] || { echo "write: Is a directory" >&2; exit 1; }
made=$(mktemp -- "${1%/*}/.ouchi-XXXXXXXXXXXX") || exit
{ cat >"$made" && chmod -- "$2" "$made" && { [ -z "$3" ] || chown -- "$3:$3" "$made"; } &&
    sync -- "$made" && mv -fT -- "$made" "$1" && sync -- "${1%/*}/"; } || { rm -f -- "$made"; exit 1; }
"""
_FOLDER = """
[ -d "$1" ] || { echo made && mkdir -p -- "$1" && sync -f -- "$1"; } || exit
[ "$(stat -L -c %a -- "$1")" = "$2" ] || chmod -- "$2" "$1" || exit
[ -z "$3" ] || [ "$(stat -L -c %U -- "$1")" = "$3" ] || chown -- "$3:$3" "$1"
"""
# flock holds the lock, so its process ID is written to the file; when it ends, so does this session.
_HOLD = """
umask 077
mkdir -p -- "${1%/*}" || exit
[ ! -L "$1" ] || { echo "lock: Too many levels of symbolic links" >&2; exit 1; }
[ ! -e "$1" ] || [ "$(stat -c %u -- "$1")" = "$(id -u)" ] || rm -f -- "$1" || exit
flock -n -E "$3" -- "$1" sh -c '
    printf "ouchi %s, process %s" "$2" "$PPID" >"$1" || exit
    echo held
    exec sleep infinity' sh "$1" "$2"
status=$?
[ "$status" != "$3" ] || { echo busy; head -c 200 -- "$1"; }
exit "$status"
"""


class SshMachine:
    """A host by its address (see :mod:`ouchi.machine.ssh.address`) and, optionally, ssh's configuration file.

    A user who is not root there works through ``sudo -n``. It connects at the first call; :meth:`close` disconnects.
    Every method may also raise :class:`~ouchi.machine.ssh.unreachable.Unreachable` or
    :class:`~ouchi.machine.ssh.unreachable.ConnectionLost`.
    """

    def __init__(self, address: str | Address, config_file: str = "") -> None:
        self.address = parse_address(address) if isinstance(address, str) else address
        self._config_file = config_file
        self.connection = Connection(self.address, config_file)
        self._running: set[Session] = set()
        self._another: SshMachine | None = None
        self._interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def another(self) -> SshMachine:
        """The same host over a second connection; interrupting this one interrupts the second too."""
        self._another = SshMachine(self.address, self._config_file)
        if self._interrupted:
            self._another.interrupt()
        return self._another

    def close(self) -> None:
        """Close the connection and end everything that runs over it."""
        self.connection.close()

    def interrupt(self) -> None:
        """As :meth:`ouchi.machine.Machine.interrupt`; a program that may outlive ouchi runs on to its end."""
        self._interrupted = True
        if self._another:
            self._another.interrupt()
        self.connection.give_up()
        for session in tuple(self._running):
            session.terminate_async()

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
        argv = tuple(str(word) for word in argv)
        if self._interrupted:
            raise Interrupted.of("interrupted")
        data = (input or "").encode()
        with logged(str(self.address), "run", argv, env=env or (), input=len(data)) as entry:
            session = self.connection.start(
                argv,
                root=True,
                seconds=timeout,
                input=data,
                env=env,
                folder=str(cwd) if cwd else "",
                keep=outlive,
            )
            result = self._result(argv, self._wait(session, timeout), timeout, entry)
        if check and not result.ok:
            raise CommandFailed(result, host=str(self.address))
        return result

    def _wait(self, session: Session, seconds: float) -> Ended:
        """Wait for the end of a session that an interruption may terminate."""
        self._running.add(session)
        try:
            if self._interrupted:  # after it was started
                session.terminate()
            return session.wait(seconds)
        finally:
            self._running.discard(session)

    def _result(self, argv: tuple[str, ...], ended: Ended, seconds: float, entry: Entry) -> Result:
        """The result of a program. Raises when it did not start, did not end in time, or its end is not known."""
        out, err = _text(ended.stdout), _text(ended.stderr)
        host = str(self.address)
        entry.status = ended.status
        if ended.status is not None:
            return Result(argv, ended.status, out, err)
        if self._interrupted:
            raise Interrupted.of("interrupted")
        if ended.timed_out:
            entry.note = f"killed after {seconds:g} s"
            result = Result(argv, -signal.SIGKILL, out, err)
            raise CommandFailed(result, f"did not end within {seconds:g} s: {err[-300:]}", host)
        if ended.reason:
            raise CommandFailed(Result(argv, 127, out, err), ended.reason, host)
        if "Session open refused by peer" in err:
            raise too_few_sessions(self.address, " ".join(argv))
        self.connection.check(" ".join(argv), err)
        raise CommandFailed(
            Result(argv, -signal.SIGKILL, out, err), f"it was ended on the remote side: {err[-300:]}", host
        )

    def read_output(self, argv: Sequence[str], *, seconds: float = FILE_SECONDS) -> bytes:
        """The output of a program that only reads, as root or else as the user.

        Raises :class:`~ouchi.machine.CommandFailed`.
        """
        with logged(str(self.address), "run", argv) as entry:
            ended = self._wait(self.connection.start(argv, root=False, seconds=seconds), seconds)
            result = self._result((argv[0],), ended, seconds, entry)
        if not result.ok:
            raise CommandFailed(result, host=str(self.address))
        return ended.stdout

    # reading

    def read(self, path: Path) -> str:
        # Line ends as Python's text files have them.
        return _text(self.read_bytes(path)).replace("\r\n", "\n").replace("\r", "\n")

    def read_bytes(self, path: Path, most: int = -1) -> bytes:
        argv = ("cat", "--", str(path)) if most < 0 else ("head", "-c", str(most), "--", str(path))
        return self._done(argv, path).stdout

    def probe(self, name: str) -> str:
        """Only ``session``; the others come with :mod:`ouchi.machine.gather`."""
        return self.connection.login().session if name == "session" else ""

    def exists(self, path: Path) -> bool:
        return self._ask(("test", "-e", str(path))).status == 0

    def entries(self, path: Path) -> list[str]:
        try:
            found = self._done(("find", f"{path}/", "-mindepth", "1", "-maxdepth", "1", "-printf", r"%f\0"), path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(os.fsdecode(name) for name in found.stdout.split(b"\0")[:-1])

    def link(self, path: Path) -> str:
        return os.path.basename(os.fsdecode(self._ask(("readlink", "-n", "--", str(path))).stdout))

    def mode(self, path: Path) -> int:
        return int(self._done(("stat", "-L", "-c", "%a", "--", str(path)), path).stdout, 8)

    def kind(self, path: Path) -> str:
        try:
            found = self._done(("find", str(path), "-maxdepth", "0", "-printf", "%y"), path)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return _KINDS.get(found.stdout, "other")

    # changing

    def write(self, path: Path, content: str | bytes, *, mode: int = 0o644, owner: str | None = None) -> None:
        data = content.encode() if isinstance(content, str) else content
        with logged(str(self.address), "write", (path, f"{len(data)} bytes")):
            self._change(_WRITE, path, f"{mode:o}", owner or "", input=data)

    def append(self, path: Path, text: str) -> None:
        self._change('tee -a -- "$1" >/dev/null', path, input=text.encode())

    def poke(self, path: Path, text: str) -> None:
        with logged(str(self.address), "poke", (path, text)):
            self._change('tee -- "$1" >/dev/null', path, input=text.encode("ascii"))

    def make_folder(self, path: Path, *, mode: int = 0o755, owner: str | None = None) -> bool:
        with logged(str(self.address), "folder", (path,)):
            return bool(self._change(_FOLDER, path, f"{mode:o}", owner or "").stdout)

    def remove(self, path: Path) -> None:
        with logged(str(self.address), "remove", (path,)):
            self._change('rm -rf -- "$1"', path)

    @contextmanager
    def hold(self, path: Path, command: str) -> Iterator[None]:
        if self._interrupted:
            raise Interrupted.of("interrupted")
        argv = ("sh", "-c", _HOLD, "sh", str(path), command, str(_BUSY))
        session = self.connection.start(argv, root=True, seconds=0)
        try:
            self._running.add(session)
            answer = session.first_line(FILE_SECONDS)
            # Once held, an interruption must not terminate it: what is written to the journal afterwards needs the lock.
            self._running.discard(session)
            if answer != b"held":
                self._not_held(path, answer, session.wait(FILE_SECONDS))
            yield
        finally:
            session.close()

    def _not_held(self, path: Path, answer: bytes, ended: Ended) -> None:
        if answer == b"busy":
            raise lock_error(f"{self.address}: {path}", _text(ended.stdout).strip())
        self._result(("flock", str(path)), ended, FILE_SECONDS, Entry())
        raise _os_error(_text(ended.stderr), f"{self.address}:{path}")

    def _change(self, script: str, path: Path, *more: str, input: bytes = b"") -> Ended:
        argv = ("sh", "-c", script, "sh", str(path), *more)
        return self._checked(self._call(argv, input=input, root=True), path)

    def _done(self, argv: Sequence[str], path: Path) -> Ended:
        return self._checked(self._ask(argv), path)

    def _checked(self, ended: Ended, path: Path) -> Ended:
        if ended.status:
            raise _os_error(_text(ended.stderr), f"{self.address}:{path}")
        return ended

    def _ask(self, argv: Sequence[str]) -> Ended:
        """Run a command that only reads."""
        with logged(str(self.address), "run", argv) as entry:
            ended = self._call(argv)
            entry.status = ended.status
        return ended

    def _call(self, argv: Sequence[str], *, input: bytes = b"", root: bool = False) -> Ended:
        """Run one of this class's own commands to its end, also after an interruption, when the journal is still written."""
        ended = self.connection.start(argv, root=root, seconds=FILE_SECONDS, input=input).wait(FILE_SECONDS)
        if ended.status is None:
            self._result((argv[0], *argv[-1:]), ended, FILE_SECONDS, Entry())
        return ended


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _os_error(messages: str, path: str) -> OSError | LookupError:
    """The error in the last lines of a coreutils program's messages."""
    lines = messages.strip().splitlines()
    for line in reversed(lines):
        if number := _ERRNO.get(line.rpartition(": ")[2]):
            return OSError(number, os.strerror(number), path)
        if match := re.search(r"invalid (user|group): .(.+?)(?::.*)?.$", line):
            return LookupError(f"no such {match[1]}: {match[2]!r}")
    return OSError(f"{path}: {lines[-1] if lines else 'it failed'}")
